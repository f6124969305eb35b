"""Recorded sessions of the original's concept model on a video, and the tiny model they were recorded with."""

import gzip
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.following import frame as frames_module
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.video.concept_session import Sam3VideoInferenceSession
from sam3_hf.video.detections import Detections
from sam3_hf.video.phrases import Boxes, Phrase
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.results import Sam3VideoSegmentationOutput
from tests.support import golden
from tests.support.video_golden import FOLDER, SIDE, SIZE, pixel_values

# Not in the model: boundary suppression, which no release turns on.
_LEFT_OUT = {"suppress_det_close_to_boundary"}


@cache
def recorded() -> dict[str, Any]:
    return json.loads(gzip.decompress((FOLDER / "pcs_cases.json.gz").read_bytes()))


@cache
def arrays() -> dict[str, Tensor]:
    with np.load(FOLDER / "pcs_outputs.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def unpacked(name: str, shape: tuple[int, ...] | list[int]) -> Tensor:
    if not np.prod(shape):
        return torch.zeros(*shape, dtype=torch.bool)
    bits = np.unpackbits(arrays()[name].numpy(), count=int(np.prod(shape)))
    return torch.from_numpy(bits.reshape(tuple(shape)).astype(bool))


@cache
def tiny_weights() -> dict[str, Tensor]:
    original = torch.load(golden.FOLDER / "sam3_tiny.pt", weights_only=True)
    original.update(load_file(FOLDER / "overrides.safetensors"))
    return to_our_layout(original, released_config())


def released_config() -> dict[str, Any]:
    return json.loads((golden.FOLDER / "config.json").read_text())


def tiny_model(**rules: Any) -> Sam3VideoModel:
    """The recorded model, with some rules changed."""
    selection = rules.pop("use_memory_selection", True)
    config = Sam3VideoConfig(**{**released_config(), **rules})
    config.tracker_config.use_memory_selection = selection
    model = Sam3VideoModel(config)
    model.load_state_dict(tiny_weights())
    return model


def phrase(name: str, everywhere: bool = True) -> Phrase:
    """A phrase of the recording: alpha, beta, gamma or visual."""
    texts = json.loads((golden.FOLDER / "cases.json").read_text())["texts"]
    input_ids = torch.tensor([texts[recorded()["texts"][name]]])
    return Phrase(name, input_ids, (input_ids != 0).long(), everywhere)


def open_session(**options: Any) -> Sam3VideoInferenceSession:
    return Sam3VideoInferenceSession(pixel_values(), *SIZE, **options)


class Replay:
    """A recorded case, request by request, and what our model decides and answers."""

    def __init__(self, name: str) -> None:
        self.name, self.case = name, recorded()["cases"][name]
        rules = {key: value for key, value in self.case["config"].items() if key not in _LEFT_OUT}
        self.model = tiny_model(**rules, use_memory_selection=bool(self.case["temporal_disambiguation"]))
        self.session = open_session(keep_outputs=True)
        self.seen: list[dict[str, Any]] = []
        self.clicked: set[int] = set()

    def run(self) -> Iterator[tuple[int, dict[str, Any], list[dict[str, Any]], list[Sam3VideoSegmentationOutput]]]:
        """Number and record of every request; our decisions on its frames, and our results."""
        for number, step in enumerate(self.case["steps"]):
            with self._watched() as seen:
                results = getattr(self, f"_{step['type']}")(step)
            yield number, step, seen, [self._as_the_original(result) for result in results]

    @contextmanager
    def _watched(self) -> Iterator[list[dict[str, Any]]]:
        seen: list[dict[str, Any]] = []
        gather, plan_frame = frames_module.gather, frames_module.plan_frame

        def gathering(detections: Any, tracks: Any, searched: Any) -> Any:
            seen.append({"detections": detections, "tracks": tracks})
            return gather(detections, tracks, searched)

        def planning(register: Any, evidence: Any, *rest: Any) -> Any:
            seen[-1]["evidence"] = evidence
            seen[-1]["plan"] = plan_frame(register, evidence, *rest)
            return seen[-1]["plan"]

        with mock.patch.multiple(frames_module, gather=gathering, plan_frame=planning):
            yield seen

    def _add_prompt(self, step: dict[str, Any]) -> list[Sam3VideoSegmentationOutput]:
        frame = step["frame_index"]
        if "points" in step:
            said = ObjectPrompt(torch.tensor(step["points"]) * SIDE, torch.tensor(step["point_labels"]))
            self.session.say(step["obj_id"], frame, said)
            self.clicked.add(step["obj_id"])
        else:
            # The original forgets everything with every text; ours goes on, so it is told to.
            self.session.reset_state()
            prompt = self.session.add_phrase(phrase(step.get("text", "visual"), "text" in step))
            # A box of the original also acts on the next frame, where a text is looked for there; ours does not.
            leaked = [frame + 1] if "text" in step else []
            for shown_on in [frame, *leaked] if "bounding_boxes" in step else []:
                corner, size = torch.tensor(step["bounding_boxes"]).split(2, 1)
                boxes = torch.cat([corner + size / 2, size], 1)
                self.session.add_boxes(prompt, shown_on, Boxes(boxes, torch.tensor(step["bounding_box_labels"])))
        return [self.model(self.session, frame_idx=frame)]

    def _propagate_in_video(self, step: dict[str, Any]) -> list[Sam3VideoSegmentationOutput]:
        (kind,) = set(step["propagation_types"])
        if kind == "propagation_fetch":
            return [self.session.outputs[result["frame"]] for result in step["results"]]
        start = step["start_frame_index"]
        return list(
            self.model.propagate_in_video_iterator(
                self.session,
                min(self.session.outputs) if start is None else start,
                step["max_frame_num_to_track"],
                direction=step["propagation_direction"],
                only_clicked=kind == "propagation_partial",
            )
        )

    def _remove_object(self, step: dict[str, Any]) -> list[Sam3VideoSegmentationOutput]:
        self.session.remove_object(step["obj_id"], strict=True)
        return []

    def _reset_session(self, step: dict[str, Any]) -> list[Sam3VideoSegmentationOutput]:
        self.session.reset_state()
        return []

    def _injected_detections(self, step: dict[str, Any]) -> list[Sam3VideoSegmentationOutput]:
        self.session.add_phrase(phrase("beta"))
        for place, frame in enumerate(step["frames_processed"]):
            logits = arrays().get(f"{self.name}.step{place}.det_masks", torch.zeros(0, 48, 48))
            boxes = torch.tensor(frame["det_boxes_xyxy"]).view(-1, 4)
            found = Detections(torch.tensor(frame["det_scores"]), boxes, logits, [0] * len(logits))
            scene = self.model._scene(self.session, frame["frame"])
            frames_module.process_frame(scene, found)
        return []

    def _as_the_original(self, result: Sam3VideoSegmentationOutput) -> Sam3VideoSegmentationOutput:
        """Where pixels are shared, the original takes a clicked object's score as a logit; ours is a probability."""
        scores = dict(result.obj_id_to_tracker_score)
        for number in self.clicked & scores.keys():
            scores[number] = math.log(scores[number]) - math.log1p(-scores[number])
        return Sam3VideoSegmentationOutput(**{**result, "obj_id_to_tracker_score": scores})
