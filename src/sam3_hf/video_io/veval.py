"""Results of a video in the form of YouTube-VIS and SA-Co/VEval predictions: one entry per object, all frames in it.

FrameResult, frame by frame -> masklets -> list of dictionaries that `sam3-hf evaluate --video` reads
"""

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from sam3_hf.ops.masks import encode_rle
from sam3_hf.video_io.json_lines import FrameResult, TrackedObject

_PER_FRAME = ("segmentations", "bboxes", "areas")


def masklet_predictions(
    results: Iterable[FrameResult], size: tuple[int, int], video_id: int, category_ids: Mapping[str | None, int]
) -> list[dict[str, Any]]:
    """Prediction entries of a video; where an object is not seen, its mask is empty and its box zeros.

    Args:
        results: All frames of the video, in order.
        size: Height and width.
        video_id: The video's id in the annotations.
        category_ids: The id of every phrase in the annotations; objects of other phrases are left out.
    """
    empty = encode_rle(torch.zeros(size, dtype=torch.bool))
    nothing: dict[str, Any] = {"segmentations": empty, "bboxes": [0.0] * 4, "areas": 0}
    masklets: dict[int, dict[str, Any]] = {}
    length = 0
    for length, result in enumerate(results, start=1):
        for each in result.objects:
            if each.text not in category_ids:
                continue
            if each.id not in masklets:
                head = {"video_id": video_id, "category_id": category_ids[each.text], "score": each.instance.score}
                masklets[each.id] = {**head, **{name: [] for name in _PER_FRAME}}
            _fill_up(masklets[each.id], nothing, length - 1)
            for name, value in _seen(each).items():
                masklets[each.id][name].append(value)
    for masklet in masklets.values():
        _fill_up(masklet, nothing, length)
    return [masklets[number] for number in sorted(masklets)]


def write_predictions(predictions: list[dict[str, Any]], path: Path) -> None:
    """Write a prediction file, whole or not at all."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_text(json.dumps(predictions), encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _seen(each: TrackedObject) -> dict[str, Any]:
    """An object on one frame, box as left, top, width, height."""
    x1, y1, x2, y2 = each.instance.box_xyxy_px
    code = each.instance.code
    return {"segmentations": code, "bboxes": [x1, y1, x2 - x1, y2 - y1], "areas": each.instance.area}


def _fill_up(masklet: dict[str, Any], nothing: dict[str, Any], length: int) -> None:
    """Frames on which the object was not seen, up to so many in all."""
    for name in _PER_FRAME:
        masklet[name] += [nothing[name]] * (length - len(masklet[name]))
