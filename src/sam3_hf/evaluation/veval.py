"""Files of SA-Co/VEval: annotated masklets of phrases in videos, and predicted ones.

ground truth, predictions -> one Pair for each phrase asked in, annotated in or found in a video
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sam3_hf.evaluation.masklets import Masklet, Pair
from sam3_hf.evaluation.reading import Entry, entries_of, is_box, read_json
from sam3_hf.evaluation.saco import by_id, size_of


def read_pairs(predictions: str | Path, ground_truth: str | Path) -> list[Pair]:
    """What two files say about every phrase in every video.

    Raises:
        ValueError: A file that cannot be read, or an entry that is not as it should be.
    """
    names = {"predictions_name": str(predictions), "ground_truth_name": str(ground_truth)}
    return pairs_of(read_json(predictions), read_json(ground_truth), **names)


def pairs_of(
    predictions: Any,
    ground_truth: Any,
    predictions_name: str = "predictions",
    ground_truth_name: str = "ground truth",
) -> list[Pair]:
    """What the contents of two files say about every phrase in every video; the names are told in errors."""
    if not isinstance(ground_truth, Mapping):
        raise ValueError(f"{ground_truth_name} must hold videos and annotations, got {type(ground_truth).__name__}.")
    file = Entry(ground_truth, ground_truth_name)
    videos = by_id(file.entries("videos"))
    pairs: dict[tuple[int, int], Pair] = {}
    for entry in file.entries("video_np_pairs"):
        _pair(pairs, entry, videos)
    for entry in file.entries("annotations"):
        crowd = entry.flag("iscrowd", default=False)
        _pair(pairs, entry, videos).annotated.append(_masklet(entry, videos, crowd=crowd))
    for entry in entries_of(predictions, predictions_name):
        _pair(pairs, entry, videos).found.append(_masklet(entry, videos, score=entry.number("score")))
    return list(pairs.values())


def _pair(pairs: dict[tuple[int, int], Pair], entry: Entry, videos: dict[int, Entry]) -> Pair:
    video, category = entry.integer("video_id"), entry.integer("category_id")
    if video not in videos:
        raise entry.wrong("video_id", "the id of one of the videos of the ground truth")
    return pairs.setdefault((video, category), Pair(video, category, _length(videos[video])))


def _length(video: Entry) -> int:
    if video.integer("length") < 1:
        raise video.wrong("length", "a number of frames")
    return video.integer("length")


def _masklet(entry: Entry, videos: dict[int, Entry], **more: Any) -> Masklet:
    video = videos[entry.integer("video_id")]
    size, frames = size_of(video), _length(video)
    masks, boxes = (_of_frames(entry, key, frames) for key in ("segmentations", "bboxes"))
    codes = [None if mask is None else _at(entry, "segmentations", i, mask).mask(size) for i, mask in enumerate(masks)]
    for number, box in enumerate(boxes):
        if box is not None and not is_box(box):
            raise _at(entry, "bboxes", number, box).wrong("segmentation", "a box: four finite numbers, or null")
    return Masklet(codes, np.array([box or [0] * 4 for box in boxes], np.float64), **more)


def _at(entry: Entry, key: str, number: int, value: Any) -> Entry:
    """One frame's value as an entry of its own, so that errors name the frame."""
    return Entry({"segmentation": value}, f"{entry.place}.{key}[{number}]")


def _of_frames(entry: Entry, key: str, frames: int) -> list[Any]:
    values = entry.values.get(key)
    if not isinstance(values, list) or len(values) != frames:
        raise entry.wrong(key, f"a list with one entry for each of the {frames} frames")
    return values
