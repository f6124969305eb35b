"""Preprocessing of a 12-megapixel photograph beside transformers: from memory, and from a JPEG file.

    python benchmarks/preprocess.py [--width 4000] [--height 3000] [--rounds 10] [--threads N] [--image FILE]

The photograph is put together of scikit-image's, at their own resolution, so that its finest detail is real. Prints
Markdown: times, and how far the pixel values of both sides, and those of the fast decode, are apart. Needs the `test`
extra.
"""

import argparse
import tempfile
from importlib.resources import files
from pathlib import Path

import torch
import transformers
from PIL import Image

from sam3_hf.benchmarking.timing import alternate
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.inputs.images import read_image

NAMES = ("astronaut.png", "chelsea.png", "coffee.png")
TILE = (451, 300)
CPU = torch.device("cpu")


def photograph(width: int, height: int) -> Image.Image:
    """Photographs side by side."""
    tiles = []
    for name in NAMES:
        with Image.open(str(files("skimage") / "data" / name)) as image:
            tiles.append(image.convert("RGB").crop((0, 0, *TILE)))
    whole = Image.new("RGB", (width, height))
    places = [(x, y) for y in range(0, height, TILE[1]) for x in range(0, width, TILE[0])]
    for number, place in enumerate(places):
        whole.paste(tiles[number % len(tiles)], place)
    return whole


def measure(file: Path, rounds: int) -> None:
    """Print both tables."""
    ours, theirs = Sam3ImageProcessor(), transformers.Sam3ImageProcessor()
    with Image.open(file) as image:
        image.load()
    picture = read_image(image, None, True)
    size = f"{image.width} x {image.height}"
    sides = {
        f"transformers {transformers.__version__}, tensor": lambda: theirs(picture, return_tensors="pt"),
        "sam3_hf, tensor": lambda: ours(picture, return_tensors="pt"),
        f"transformers {transformers.__version__}, PIL image": lambda: theirs(image, return_tensors="pt"),
        "sam3_hf, PIL image": lambda: ours(image, return_tensors="pt"),
        f"transformers {transformers.__version__}, JPEG file": lambda: theirs(
            transformers.image_utils.load_image(str(file)), return_tensors="pt"
        ),
        "sam3_hf, JPEG file": lambda: ours(file, return_tensors="pt"),
        "sam3_hf, JPEG file, fast_decode": lambda: ours(file, return_tensors="pt", fast_decode=True),
    }
    timings = alternate(sides, rounds, CPU)
    print(f"{size} to 1008 px, {torch.get_num_threads()} thread(s)\n")
    print("| | median ms | quartiles ms |\n| --- | --- | --- |")
    for side, timing in timings.items():
        low, high = (1000 * quartile for quartile in timing.quartiles)
        print(f"| {side} | {1000 * timing.median:.1f} | {low:.1f} to {high:.1f} |")
    values = {side: call()["pixel_values"] for side, call in sides.items()}
    exact, fast = values["sam3_hf, JPEG file"], values["sam3_hf, JPEG file, fast_decode"]
    difference = (values["sam3_hf, tensor"] - next(iter(values.values()))).abs().max().item()
    print(f"\nLargest difference of pixel values (-1 to 1) to transformers: {difference:.1e}.")
    levels = 127.5 * (fast - exact).abs()
    sample = levels.flatten()[::7].quantile(0.99)
    print(f"fast_decode changes them by {levels.mean():.2f} of 255 levels on average, 99% of them by at most", end="")
    print(f" {sample:.0f}, at most by {levels.max():.0f}.")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--image", type=Path, help="A JPEG file of your own.")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        file = arguments.image or Path(folder) / "photograph.jpg"
        if arguments.image is None:
            photograph(arguments.width, arguments.height).save(file, quality=90)
        measure(file, arguments.rounds)


if __name__ == "__main__":
    main()
