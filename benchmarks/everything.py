"""Finding everything in an image, beside transformers' pipeline: time and peak memory, in a process each.

    python benchmarks/everything.py [--points 8] [--height 1536] [--width 2048] [--threads 1]

The model has the released size and random weights; the encoder, which costs both the same, is left out. Prints JSON.
With random weights no mask passes the filters: this is the cost of asking and filtering. Needs the `test` extra.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import torch

WAYS = ("ours", "transformers' pipeline with our model", "transformers")
SIDE = 1008


def embeddings() -> list[torch.Tensor]:
    """What an encoder would return, of the released sizes."""
    sizes = ((32, SIDE // 14 * 4), (64, SIDE // 14 * 2), (256, SIDE // 14))
    return [torch.randn(1, channels, side, side) for channels, side in sizes]


def model_of(package: Any) -> Any:
    """A model whose encoder answers at once."""
    torch.manual_seed(0)
    model = package.Sam3TrackerModel(package.Sam3TrackerConfig()).eval()
    model.get_image_embeddings = lambda *_, **__: embeddings()
    return model


def worker(way: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds, and gigabytes above what the process held before."""
    import transformers
    from PIL import Image

    import sam3_hf
    from sam3_hf.benchmarking.memory import peak_of
    from sam3_hf.pipelines.everything import EverythingSettings, segment_everything

    torch.set_num_threads(options.threads)
    picture = Image.effect_noise((options.width, options.height), 80).convert("RGB")
    package = transformers if way == "transformers" else sam3_hf
    if way == "transformers":
        sam3_hf.unregister_auto_classes()
    model, images = model_of(package), package.Sam3ImageProcessor()
    pipeline = transformers.pipeline("mask-generation", model=model, image_processor=images, device="cpu")
    settings = EverythingSettings(points_per_side=options.points)

    def work() -> None:
        if way == "ours":
            segment_everything(model, images, picture, settings)
        else:
            pipeline(picture, points_per_crop=options.points, stability_score_thresh=0.0)

    took = []

    def timed() -> None:
        start = time.perf_counter()
        try:
            with torch.inference_mode():
                work()
        except RuntimeError as error:  # the pipeline cannot put together what is empty
            if "expected a non-empty list" not in str(error):
                raise
        took.append(time.perf_counter() - start)

    peak = peak_of(timed, torch.device("cpu")).above_start or float("nan")
    return {"seconds": round(took[0], 2), "peak_gigabytes": round(peak / 2**30, 2)}


def main() -> None:
    """Start one process per way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--height", type=int, default=1536)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(worker(options.way, options)))
        return
    report = {}
    for way in WAYS:
        command = [sys.executable, "-W", "ignore", *sys.argv, "--way", way]
        report[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(json.dumps(vars(options) | report, indent=2))


if __name__ == "__main__":
    main()
