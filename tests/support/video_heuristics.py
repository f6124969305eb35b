"""Recorded decisions of the original on scripted detections and tracks, and the same script run through our rules."""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.video.cleaning import cleaned
from sam3_hf.video.delay import Delay
from sam3_hf.video.detections import Detections
from sam3_hf.video.evidence import Evidence, Tracks, gather
from sam3_hf.video.memory_selection import Visit
from sam3_hf.video.overlaps import GIVEN_UP, without_hidden
from sam3_hf.video.planning import Plan, plan_frame
from sam3_hf.video.register import Register
from sam3_hf.video.results import Sam3VideoSegmentationOutput

FOLDER = Path(__file__).parents[1] / "data" / "original_tiny_video"
SIZE = (40, 56)
UNTESTED = {"suppress_det_close_to_boundary"}


@cache
def recorded() -> dict[str, Any]:
    return json.loads(gzip.decompress((FOLDER / "heuristics.json.gz").read_bytes()))


@cache
def arrays() -> Any:
    with np.load(FOLDER / "heuristics.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def array(name: str) -> Tensor:
    return arrays()[name]


def unpacked(name: str, shape: tuple[int, ...]) -> Tensor:
    bits = np.unpackbits(array(name).numpy(), count=int(np.prod(shape)))
    return torch.from_numpy(bits.reshape(shape).astype(bool))


def config_of(case: str) -> Sam3VideoConfig:
    given = recorded()["cases"][case]["config"]
    return Sam3VideoConfig(**{name: value for name, value in given.items() if name not in UNTESTED})


@dataclass
class Step:
    """What our rules said of a frame of the script."""

    frame: int
    evidence: Evidence
    plan: Plan
    register: dict[str, Any]
    memory_filled: list[bool]
    hidden_in_memory: list[int]
    output: Sam3VideoSegmentationOutput


class Script:
    """The world of the recording: a track has the mask and the score of the detection that it was born from."""

    def __init__(self, case: str) -> None:
        self.case = recorded()["cases"][case]
        self.config = config_of(case)
        self.register, self.delay = Register(), Delay.of(self.config)
        self.labels: dict[int, str] = {}
        self.ids: list[int] = []
        self.steps: list[Step] = []
        self.shown: list[Sam3VideoSegmentationOutput] = []

    def run(self) -> "Script":
        for recorded_step in self.case["frames_processed"]:
            step = self.step(recorded_step["frame"])
            self.steps.append(step)
            self.shown += self.delay.add(step.output, self.register)
        self.shown += self.delay.flush(self.register)
        return self

    def step(self, frame: int) -> Step:
        world, visit = recorded()["world"][frame], Visit(frame, self.case["reverse"])
        detections, tracks = self.detections(frame), self.tracks(frame)
        evidence = gather(detections, tracks, {0})
        plan = plan_frame(self.register, evidence, visit, self.config)
        self.labels |= {number: world["det_labels"][d] for number, d in plan.born.items()}
        erased = torch.tensor([number in plan.erased for number in tracks.ids], dtype=torch.bool)
        masks = tracks.logits.masked_fill(erased[:, None, None], GIVEN_UP)
        memory = F.interpolate(masks[:, None], (64, 64), mode="bilinear")[:, 0] if len(masks) else masks
        kept = without_hidden(memory, tracks.phrases)
        changed = (kept != memory).flatten(1).any(1).tolist()
        filled = (kept > 0).flatten(1).any(1).tolist()
        shown = dict(zip(tracks.ids, masks, strict=True))
        shown |= {
            number: detections.logits[d]
            for number, d in plan.reconditioning.detections.items()
            if number in plan.reconditioning.shown
        }
        fresh = cleaned(detections.logits, self.config.fill_hole_area)
        shown |= {number: fresh[d] for number, d in plan.born.items()}
        scores = dict(zip(tracks.ids, tracks.score_logits.sigmoid().tolist(), strict=True))
        scores |= {number: self.register.score[number] for number in plan.born}
        self.ids = plan.ids
        output = Sam3VideoSegmentationOutput(
            object_ids=plan.ids,
            obj_id_to_mask={number: mask[None] for number, mask in shown.items()},
            obj_id_to_score=dict(self.register.score),
            obj_id_to_tracker_score=scores,
            removed_obj_ids=set(),
            suppressed_obj_ids=set(plan.hidden),
            obj_id_to_prompt_id=dict(self.register.phrase),
            frame_idx=frame,
        )
        hidden = [number for number, is_changed in zip(tracks.ids, changed, strict=True) if is_changed]
        return Step(frame, evidence, plan, self.state(plan), filled, hidden, output)

    def detections(self, frame: int) -> Detections:
        world, logits = recorded()["world"][frame], array(f"world.frame{frame}.det_masks")
        boxes = torch.stack([tight_box(mask) for mask in logits]) / 32 if len(logits) else torch.zeros(0, 4)
        return Detections(torch.tensor(world["det_scores"]), boxes, logits, [0] * len(logits))

    def tracks(self, frame: int) -> Tracks:
        scores, labels = recorded()["world"][frame]["track_object_score_logits"], [self.labels[n] for n in self.ids]
        masks = [array(f"world.frame{frame}.track_mask.{label}") for label in labels]
        logits = torch.stack(masks).view(-1, 32, 32) if masks else torch.zeros(0, 32, 32)
        return Tracks(self.ids, logits, torch.tensor([scores[label] for label in labels]), [0] * len(labels))

    def state(self, plan: Plan) -> dict[str, Any]:
        """The register as the recording writes it."""
        register = self.register
        pairs = {f"{one},{other}": list(frames) for (one, other), frames in register.shared_frames.items()}
        return {
            "obj_first_frame_idx": {str(n): f for n, f in register.first_frame.items()},
            "unmatched_frame_inds": {str(n): list(f) for n, f in register.unmatched_frames.items()},
            "keep_alive": {str(n): value for n, value in register.keep_alive.items()},
            "overlap_pair_to_frame_inds": pairs,
            "removed_obj_ids": sorted(register.removed),
            "suppressed_obj_ids_this_frame": sorted(plan.hidden),
        }


@cache
def played(case: str) -> Script:
    return Script(case).run()


def tight_box(mask: Tensor) -> Tensor:
    y, x = (mask > 0).nonzero().T
    return torch.tensor([x.min(), y.min(), x.max(), y.max()]).float() if len(x) else torch.zeros(4)
