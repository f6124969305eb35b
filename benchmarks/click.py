"""What a click costs after the image is encoded, beside transformers, in one process and alternating.

    python benchmarks/click.py [--rounds N] [--objects N ...] [--threads N] [--device cpu] [--dtype float32] [--side N]

The model has the released size and random weights, which both implementations share. Prints JSON: median and best
times in milliseconds (other programs on the machine disturb the best least), ratios of the best, and how far the masks
differ. Needs the `test` extra.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import transformers

from sam3_hf.benchmarking.models import fill_buffers
from sam3_hf.benchmarking.timing import seconds_of
from sam3_hf.configuration_sam3_tracker import Sam3TrackerConfig
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor

MEGAPIXELS = {"1 MP": (1000, 1000), "12 MP": (3000, 4000), "48 MP": (6000, 8000)}


def models(side: int, device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """Ours and theirs, on the same weights."""
    config = Sam3TrackerConfig()
    config.image_size = side
    config.vision_config.backbone_feature_sizes = [[side // 14 * scale] * 2 for scale in (4, 2, 1)]
    torch.manual_seed(0)
    ours = Sam3TrackerModel(config).eval()
    for parameter in ours.parameters():
        if parameter.dim() > 1:
            parameter.copy_(torch.randn(parameter.shape) * parameter[0].numel() ** -0.5)
    ours = ours.to(device, dtype)
    with torch.device("meta"):
        theirs = transformers.Sam3TrackerModel(transformers.Sam3TrackerConfig.from_dict(config.to_dict()))
    theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
    fill_buffers(theirs, transformers.Sam3TrackerConfig.from_dict(config.to_dict()), torch.device(device))
    return ours, theirs.eval()


def alternating(rounds: int, warm_up: int = 1, **works: Callable[[], object]) -> dict[str, Any]:
    """Median and best time of each work in milliseconds, once per round and in turn, after rounds that do not count."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + warm_up):
        for name, work in works.items():
            times[name].append(1000 * seconds_of(work, device))
    counted = {name: values[warm_up:] for name, values in times.items()}
    return {
        "median": {name: round(statistics.median(values), 2) for name, values in counted.items()},
        "best": {name: round(min(values), 2) for name, values in counted.items()},
    }


def encoder(ours: Any, theirs: Any, pixels: torch.Tensor, rounds: int) -> dict[str, Any]:
    """From pixels to what the mask decoder reads; so long on a CPU that a warm-up would only cost time."""
    return alternating(
        rounds,
        warm_up=int(pixels.device.type != "cpu"),
        ours=lambda: ours.get_image_embeddings(pixels),
        theirs=lambda: theirs.get_image_embeddings(pixels),
    )


def one_click(ours: Any, theirs: Any, embeddings: list, points: torch.Tensor, rounds: int) -> dict[str, Any]:
    """The network alone, from a point to low-resolution masks."""
    click = {"input_points": points[:, :1], "image_embeddings": embeddings}
    logits, expected = ours(**click).pred_masks, theirs(**click).pred_masks
    times = alternating(rounds, ours=lambda: ours(**click), theirs=lambda: theirs(**click))
    agreement = {
        "spread_of_logits": float(expected.std()),
        "largest_difference": float((logits - expected).abs().max()),
    }
    return times | agreement


def many_objects(ours: Any, theirs: Any, embeddings: list, points: torch.Tensor, rounds: int) -> dict[str, Any]:
    """All objects in one call, and one call for each; and how much faster one call is."""

    def together(model: Any) -> object:
        return model(input_points=points, image_embeddings=embeddings)

    def one_by_one(model: Any) -> object:
        return [model(input_points=points[:, n, None], image_embeddings=embeddings) for n in range(points.shape[1])]

    times = alternating(
        rounds,
        ours_together=lambda: together(ours),
        theirs_together=lambda: together(theirs),
        ours_one_by_one=lambda: one_by_one(ours),
        theirs_one_by_one=lambda: one_by_one(theirs),
    )
    best = times["best"]
    faster = {
        "ours": round(best["ours_one_by_one"] / best["ours_together"], 2),
        "ours over transformers' calls": round(best["theirs_one_by_one"] / best["ours_together"], 2),
        "theirs": round(best["theirs_one_by_one"] / best["theirs_together"], 2),
    }
    return times | {"together_is_faster_by": faster}


def whole_click(ours: Any, theirs: Any, embeddings: list, rounds: int) -> dict[str, Any]:
    """From x, y in pixels to the mask at image size, holes filled as the original does (transformers cannot).

    The masks of a random model are noise; a round object with a wavy outline stands in.
    """
    found = {}
    side = embeddings[0].shape[-1]
    waves = F.interpolate(torch.randn(1, 1, 16, 16), (side, side), mode="bicubic")
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    logits = (10 * (0.5 - (x**2 + y**2).sqrt()) + waves).to(ours.device)
    processors = _processors(ours)
    for name, size in MEGAPIXELS.items():
        place = {"input_points": [[[[size[1] / 3, size[0] / 3]]]], "original_sizes": [size], "return_tensors": "pt"}

        def click(model: Any, processor: Any, place: dict = place, size: tuple = size) -> object:
            points = processor(**place)["input_points"].to(model.device)
            model(input_points=points, image_embeddings=embeddings, multimask_output=False)
            return [masks.cpu() for masks in processor.post_process_masks([logits], [size])]

        found[name] = alternating(
            rounds, ours=lambda: click(ours, processors[0]), theirs=lambda: click(theirs, processors[1])
        )
    return found


def _made_up_embeddings(model: Any, pixels: torch.Tensor) -> list[torch.Tensor]:
    """Embeddings of the right sizes; what a click costs does not depend on what is in the image."""
    width, grid = model.config.prompt_encoder_config.hidden_size, pixels.shape[-1] // 14
    sizes = ((width // 8, 4 * grid), (width // 4, 2 * grid), (width, grid))
    levels = [torch.randn(1, channels, side, side, device=pixels.device, dtype=model.dtype) for channels, side in sizes]
    return [level.contiguous(memory_format=torch.channels_last) for level in levels]


def _processors(ours: Any) -> tuple[Any, Any]:
    from sam3_hf import Sam3ImageProcessor

    side = ours.config.image_size
    theirs = transformers.Sam3ImageProcessor(size={"height": side, "width": side})
    return Sam3TrackerProcessor(Sam3ImageProcessor(size=side)), transformers.Sam3TrackerProcessor(theirs)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoder-rounds", type=int, default=1, help="0 leaves the encoder out")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--side", type=int, default=1008)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    ours, theirs = models(options.side, options.device, getattr(torch, options.dtype))
    pixels = torch.randn(1, 3, options.side, options.side, device=options.device, dtype=ours.dtype)
    points = torch.rand(1, max(options.objects), 1, 2, device=options.device) * options.side
    report: dict[str, Any] = vars(options) | {"torch": torch.__version__, "transformers": transformers.__version__}
    embeddings = _made_up_embeddings(ours, pixels)
    if options.encoder_rounds:
        report["encoder_ms"] = encoder(ours, theirs, pixels, options.encoder_rounds)
    report["click_ms"] = one_click(ours, theirs, embeddings, points, options.rounds)
    if options.encoder_rounds:
        report["encoder_over_click"] = round(report["encoder_ms"]["best"]["ours"] / report["click_ms"]["best"]["ours"])
    report["click_to_image_ms"] = whole_click(ours, theirs, embeddings, options.rounds)
    rounds = max(1, options.rounds // 3)
    report["objects_ms"] = {
        objects: many_objects(ours, theirs, embeddings, points[:, :objects], rounds) for objects in options.objects
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
