"""Draw a clip of the shapes dataset as a video, or turn a video into an animated picture.

    python examples/draw_shapes_clip.py CLIP.mp4 [--seed 1020] [--number 0] [--frames 48] [--side 320]
    python examples/draw_shapes_clip.py ANIMATION.webp --of VIDEO.mp4

Needs the extra `video`.
"""

import argparse
from fractions import Fraction
from pathlib import Path

from PIL import Image

from sam3_hf.datasets.shapes.clips import ShapesClips
from sam3_hf.video_io.json_lines import FrameResult
from sam3_hf.video_io.opening import open_video
from sam3_hf.video_io.overlay_video import OverlayVideo
from sam3_hf.video_io.sources import Frame

RATE = 12


def draw(path: Path, film: tuple[Image.Image, ...]) -> None:
    """Write frames as a video."""
    video = OverlayVideo(path, (film[0].height, film[0].width), Fraction(1, RATE))
    for number, picture in enumerate(film):
        time = Fraction(number, RATE)
        video.write(Frame(number, time, picture), FrameResult(number, float(time), []))
    video.close()


def animate(path: Path, source: Path) -> None:
    """Write the frames of a video as one picture that moves without end."""
    first, *others = [Image.fromarray(frame.image.permute(1, 2, 0).numpy()) for frame in open_video(source).frames()]
    first.save(path, save_all=True, append_images=others, duration=1000 // RATE, loop=0, quality=80, method=6)


def main() -> None:
    """Write one file."""
    parser = argparse.ArgumentParser(description="Draw a clip of the shapes dataset, or animate a video.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--of", type=Path, help="a video to be animated; otherwise a clip is drawn")
    parser.add_argument("--seed", type=int, default=1020)
    parser.add_argument("--number", type=int, default=0, help="of the clip")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--side", type=int, default=320, help="pixels of the longer side")
    options = parser.parse_args()
    if options.output.exists():
        parser.error(f"{options.output} exists.")
    if options.of:
        animate(options.output, options.of)
    else:
        clips = ShapesClips(options.seed, options.number + 1, options.frames, image_side=options.side)
        draw(options.output, clips[options.number].frames)


if __name__ == "__main__":
    main()
