"""A concept session in a folder: everything but the frames, which are passed again.

Sam3VideoInferenceSession -> folder -> session that goes on exactly where the first one was
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam3_hf.video.bucket import Bucket
from sam3_hf.video.concept_session import Sam3VideoInferenceSession
from sam3_hf.video.delay import Delay, Waiting
from sam3_hf.video.frames import Frames
from sam3_hf.video.phrases import Boxes, Phrase, Phrases
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.register import Register
from sam3_hf.video.results import Sam3VideoSegmentationOutput
from sam3_hf.video.storage import Stored, read_state, restore_bank, store_bank, write_state

KIND = "sam3_hf concept session"
_PLAIN = ("video_height", "video_width", "max_vision_features_cache_size", "keep_outputs")
_TYPES = ("dtype", "memory_dtype")
_Tensors = dict[str, Tensor]


def save_session(session: Sam3VideoInferenceSession, folder: str | Path) -> None:
    """Write a session to a new folder.

    Raises:
        ValueError: There is something at this place already.
    """
    tensors: _Tensors = {}
    values: dict[str, Any] = {name: getattr(session, name) for name in _PLAIN}
    values |= {name: str(getattr(session, name)).removeprefix("torch.") for name in _TYPES}
    values |= {"num_frames": session.num_frames, "has_video": session.frames is not None}
    values |= {
        "last_frame": session.last_frame,
        "touched": sorted(session.touched),
        "next_phrase": session.phrases.next_number,
    }
    values["register"] = _store_register(session.register)
    values["phrases"] = [_store_phrase(number, phrase, tensors) for number, phrase in session.phrases.items()]
    values["buckets"] = [_store_bucket(place, bucket, tensors) for place, bucket in enumerate(session.buckets)]
    for name in ("clicks", "pending"):
        values[name] = _store_clicks(name, getattr(session, name), tensors)
    values["outputs"] = [_store_result(f"output.{n}", each, tensors) for n, each in session.outputs.items()]
    waiting = [] if session.delay is None else list(session.delay.waiting)
    values["waiting"] = [
        {**_store_result(f"waiting.{n}", each.result, tensors), "unconfirmed": sorted(each.unconfirmed)}
        for n, each in enumerate(waiting)
    ]
    delay = session.delay
    values["delay"] = None if delay is None else {"latency": delay.latency, "look_ahead": delay.look_ahead}
    write_state(folder, KIND, Stored(values, tensors))


def load_session(
    folder: str | Path,
    frames: Frames | None,
    inference_device: torch.device | str = "cpu",
    inference_state_device: torch.device | str | None = None,
) -> Sam3VideoInferenceSession:
    """The session that was saved; with the same model and frames it goes on exactly as the first would have.

    Args:
        folder: Where it was saved.
        frames: The same frames again; none for a stream.
        inference_device: Where the model runs now.
        inference_state_device: Where results are kept now.

    Raises:
        ValueError: Nothing was saved there, it is damaged, or the frames are not those of this session.
    """
    values, tensors = read_state(folder, KIND)
    if values["has_video"] != (frames is not None):
        raise ValueError(f"{folder} is the session of a {'video: pass its frames' if frames is None else 'stream'}.")
    length = None if frames is None else frames.length
    if None not in (values["num_frames"], length) and values["num_frames"] != length:
        raise ValueError(f"{folder} is the session of {values['num_frames']} frames; these are {length}.")
    options = {name: values[name] for name in ("max_vision_features_cache_size", "keep_outputs")}
    options |= {name: getattr(torch, values[name]) for name in _TYPES}
    session = Sam3VideoInferenceSession(frames=frames, video_storage_device=inference_device, **options)
    session.video_height, session.video_width = values["video_height"], values["video_width"]
    _restore(session, values, tensors)
    return session.to(inference_device, inference_state_device)


def _restore(session: Sam3VideoInferenceSession, values: dict[str, Any], tensors: _Tensors) -> None:
    """What was known of the video."""
    session.last_frame, session.touched = values["last_frame"], set(values["touched"])
    session.register = _restored_register(values["register"])
    phrases = {each["number"]: _restored_phrase(each, tensors) for each in values["phrases"]}
    session.phrases = Phrases(phrases, values["next_phrase"])
    session.buckets = [_restored_bucket(place, each, tensors) for place, each in enumerate(values["buckets"])]
    session.clicks = _restored_clicks("clicks", values["clicks"], tensors)
    session.pending = _restored_clicks("pending", values["pending"], tensors)
    results = [_restored_result(each, tensors) for each in values["outputs"]]
    session.outputs = {result.frame_idx: result for result in results}
    if values["delay"] is not None:
        session.delay = Delay(**values["delay"])
        session.delay.waiting.extend(
            Waiting(_restored_result(each, tensors), set(each["unconfirmed"])) for each in values["waiting"]
        )


def _store_register(register: Register) -> dict[str, Any]:
    """JSON has neither sets nor numbers as keys."""
    values: dict[str, Any] = {each.name: getattr(register, each.name) for each in fields(register)}
    return {
        name: sorted(value) if isinstance(value, set) else list(value.items()) if isinstance(value, dict) else value
        for name, value in values.items()
    }


def _restored_register(values: dict[str, Any]) -> Register:
    fresh = Register()
    for name, value in values.items():
        kind = type(getattr(fresh, name))
        if kind is dict:
            value = {tuple(key) if isinstance(key, list) else key: entry for key, entry in value}
        setattr(fresh, name, kind(value))
    return fresh


def _store_phrase(number: int, phrase: Phrase, tensors: _Tensors) -> dict[str, Any]:
    name = f"phrase.{number}"
    tensors |= {f"{name}.input_ids": phrase.input_ids, f"{name}.attention_mask": phrase.attention_mask}
    for frame, boxes in phrase.boxes.items():
        tensors |= {f"{name}.{frame}.boxes": boxes.boxes_cxcywh, f"{name}.{frame}.labels": boxes.labels}
    return {"number": number, "text": phrase.text, "everywhere": phrase.everywhere, "frames": list(phrase.boxes)}


def _restored_phrase(values: dict[str, Any], tensors: _Tensors) -> Phrase:
    name = f"phrase.{values['number']}"
    boxes = {n: Boxes(tensors[f"{name}.{n}.boxes"], tensors[f"{name}.{n}.labels"]) for n in values["frames"]}
    ids, mask = tensors[f"{name}.input_ids"], tensors[f"{name}.attention_mask"]
    return Phrase(values["text"], ids, mask, values["everywhere"], boxes)


def _store_bucket(place: int, bucket: Bucket, tensors: _Tensors) -> dict[str, Any]:
    bank = store_bank(bucket.bank, f"bucket.{place}")
    tensors |= bank.tensors
    return {"ids": bucket.ids, "clicked": sorted(bucket.clicked), "bank": bank.values}


def _restored_bucket(place: int, values: dict[str, Any], tensors: _Tensors) -> Bucket:
    return Bucket(values["ids"], restore_bank(values["bank"], tensors, f"bucket.{place}"), set(values["clicked"]))


def _store_clicks(kind: str, clicks: dict[int, dict[int, ObjectPrompt]], tensors: _Tensors) -> list[Any]:
    entries = []
    for frame, objects in clicks.items():
        for number, said in objects.items():
            parts = {"points": said.points, "labels": said.labels, "mask": said.mask}
            tensors |= {f"{kind}.{frame}.{number}.{p}": v for p, v in parts.items() if v is not None}
            entries.append([frame, number])
    return entries


def _restored_clicks(kind: str, entries: list[Any], tensors: _Tensors) -> dict[int, dict[int, ObjectPrompt]]:
    clicks: dict[int, dict[int, ObjectPrompt]] = {}
    for frame, number in entries:
        name = f"{kind}.{frame}.{number}"
        parts = [tensors[f"{name}.points"], tensors[f"{name}.labels"], tensors.get(f"{name}.mask")]
        clicks.setdefault(frame, {})[number] = ObjectPrompt(*parts)
    return clicks


_TABLES = ("obj_id_to_score", "obj_id_to_tracker_score", "obj_id_to_prompt_id")
_SETS = ("removed_obj_ids", "suppressed_obj_ids")


def _store_result(name: str, result: Sam3VideoSegmentationOutput, tensors: _Tensors) -> dict[str, Any]:
    tensors |= {f"{name}.{number}": mask.clone() for number, mask in result.obj_id_to_mask.items()}
    tables: dict[str, Any] = {table: list(getattr(result, table).items()) for table in _TABLES}
    tables |= {each: sorted(getattr(result, each)) for each in _SETS}
    known = {"object_ids": result.object_ids, "frame_idx": result.frame_idx}
    return {"name": name, "masks": list(result.obj_id_to_mask), **known, **tables}


def _restored_result(values: dict[str, Any], tensors: _Tensors) -> Sam3VideoSegmentationOutput:
    masks = {number: tensors[f"{values['name']}.{number}"] for number in values["masks"]}
    tables: dict[str, Any] = {table: dict(values[table]) for table in _TABLES}
    tables |= {each: set(values[each]) for each in _SETS}
    known = {"object_ids": values["object_ids"], "frame_idx": values["frame_idx"]}
    return Sam3VideoSegmentationOutput(obj_id_to_mask=masks, **known, **tables)
