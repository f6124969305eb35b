"""A tracker's session in a folder: everything but the frames, which are passed again.

Sam3TrackerVideoInferenceSession -> folder -> session that goes on exactly where the first one was
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam3_hf.video.objects import FollowedObject
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.storage import Stored, read_state, restore_bank, store_bank, write_state

KIND = "sam3_hf tracker session"
# What a session is told and what it counts, apart from its objects.
_PLAIN = ("video_height", "video_width", "max_vision_features_cache_size", "keep_all", "joint")
_TYPES = ("dtype", "memory_dtype")


def save_session(session: Any, folder: str | Path) -> None:
    """Write a session; errors as `write_state`."""
    plain: dict[str, Any] = {name: getattr(session, name) for name in _PLAIN}
    types = {name: str(getattr(session, name)).removeprefix("torch.") for name in _TYPES}
    objects, tensors = [], {}
    for obj_id, each in session.objects.items():
        bank = store_bank(each.bank, f"{obj_id}.bank")
        prompts, points = _store_prompts(each, f"{obj_id}.prompts")
        objects.append({"id": obj_id, "bank": bank.values, "prompts": prompts, "pending": sorted(each.pending)})
        tensors |= bank.tensors | points
    counts = {"num_frames": session.num_frames, "has_video": session.frames is not None}
    values = {**plain, **types, **counts, "latest_frame": session.latest_frame, "objects": objects}
    write_state(folder, KIND, Stored(values, tensors))


def read_session(folder: str | Path, video: Any) -> tuple[dict[str, Any], dict[int, FollowedObject], int]:
    """How a session is made, its objects, and the number of the last streamed frame.

    Raises:
        ValueError: As `read_state`; or the video is missing, or not as long as it was.
    """
    values, tensors = read_state(folder, KIND)
    if values["has_video"] != (video is not None):
        raise ValueError(f"{folder} is the session of a {'video: pass its frames' if video is None else 'stream'}.")
    try:
        options = {name: values[name] for name in _PLAIN}
        options |= {name: getattr(torch, values[name]) for name in _TYPES}
        objects = {entry["id"]: _restored(entry, tensors) for entry in values["objects"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder} holds no session as it is written here: {error!r}.") from error
    return {**options, "num_frames": values["num_frames"]}, objects, values["latest_frame"]


def _restored(entry: dict[str, Any], tensors: dict[str, Tensor]) -> FollowedObject:
    """One object."""
    name = f"{entry['id']}.prompts"
    prompts = {
        each["frame"]: ObjectPrompt(
            tensors[f"{name}.{each['frame']}.points"],
            tensors[f"{name}.{each['frame']}.labels"],
            tensors.get(f"{name}.{each['frame']}.mask"),
            each["use_memory"],
        )
        for each in entry["prompts"]
    }
    return FollowedObject(restore_bank(entry["bank"], tensors, f"{entry['id']}.bank"), prompts, set(entry["pending"]))


def _store_prompts(each: FollowedObject, name: str) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Prompts of one object."""
    entries, tensors = [], {}
    for number, prompt in each.prompts.items():
        entries.append({"frame": number, "use_memory": prompt.use_memory})
        parts = {"points": prompt.points, "labels": prompt.labels, "mask": prompt.mask}
        tensors |= {f"{name}.{number}.{part}": value for part, value in parts.items() if value is not None}
    return entries, tensors
