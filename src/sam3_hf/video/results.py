"""Results: what is said of a frame, and the masks, boxes and scores that are shown of it.

FrameResult (low-resolution logits by id) -> ids, scores, boxes, masks at the video's size
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers.utils.generic import ModelOutput

from sam3_hf.video.overlaps import without_contested

# Among whom a pixel has one owner: all objects, those of one phrase, or nobody.
SHARES = ("all", "prompt", "none")


@dataclass
class Sam3VideoSegmentationOutput(ModelOutput):
    """What `Sam3VideoModel` says of a frame.

    Attributes:
        object_ids: Objects that are tracked after this frame.
        obj_id_to_mask: Mask logits (1, height, width) of every object on this frame; low resolution, or the video's
            for objects that were clicked.
        obj_id_to_score: Score of the detection that an object was born from; 1 if it was clicked, -10000 if removed.
        obj_id_to_tracker_score: How sure the tracker is that the object is there, on this frame.
        removed_obj_ids: Objects that were removed for good, so far or by the time this result was released.
        suppressed_obj_ids: Objects that are not to be shown on this frame.
        frame_idx: Number of the frame.
        obj_id_to_prompt_id: The phrase that each object belongs to.
        unconfirmed_obj_ids: Objects that were not confirmed at the time that counts; empty unless that is asked for.
    """

    object_ids: list[int] = None  # pyright: ignore
    obj_id_to_mask: dict[int, Tensor] = None  # pyright: ignore
    obj_id_to_score: dict[int, float] = None  # pyright: ignore
    obj_id_to_tracker_score: dict[int, float] = None  # pyright: ignore
    removed_obj_ids: set[int] = None  # pyright: ignore
    suppressed_obj_ids: set[int] = None  # pyright: ignore
    frame_idx: int = None  # pyright: ignore
    obj_id_to_prompt_id: dict[int, int] = None  # pyright: ignore
    unconfirmed_obj_ids: set[int] | None = None

    def without(self, number: int) -> "Sam3VideoSegmentationOutput":
        """A copy in which an object is not."""
        masks = {other: mask for other, mask in self.obj_id_to_mask.items() if other != number}
        ids = [other for other in self.object_ids if other != number]
        changed: dict[str, Any] = {**self, "obj_id_to_mask": masks, "object_ids": ids}
        return Sam3VideoSegmentationOutput(**changed)

    def move(self, device: torch.device) -> None:
        """Have all masks on a device."""
        self.obj_id_to_mask = {number: mask.to(device) for number, mask in self.obj_id_to_mask.items()}

    @property
    def visible_ids(self) -> list[int]:
        """Objects to be shown, as far as is known without their masks; ascending."""
        unseen = self.removed_obj_ids | self.suppressed_obj_ids | (self.unconfirmed_obj_ids or set())
        return sorted(self.obj_id_to_mask.keys() - unseen)


class Shown(NamedTuple):
    """Objects of a frame as they are shown; boxes end on the last pixel that is set."""

    ids: list[int]
    scores: list[float]
    boxes_xyxy_px: Int[Tensor, "N 4"]
    masks: Bool[Tensor, "N H W"]


def show(result: Sam3VideoSegmentationOutput, size: tuple[int, int], share: str = "all") -> Shown:
    """Masks at the video's size; boxes are those of the masks before contested pixels are given away.

    Args:
        result: What the model said.
        size: Height and width of the video.
        share: Among whom a pixel has one owner: "all" objects, those of one "prompt", or "none".
    """
    ids = result.visible_ids
    masks = enlarged([result.obj_id_to_mask[number] for number in ids], size) > 0
    filled = masks.any(-1).any(-1).tolist()
    ids = [number for number, is_filled in zip(ids, filled, strict=True) if is_filled]
    masks = masks[torch.tensor(filled, dtype=torch.bool)]
    scores = masks.new_tensor([result.obj_id_to_tracker_score.get(n, 0.0) for n in ids], dtype=torch.float32)
    groups = {"all": [0] * len(ids), "prompt": [result.obj_id_to_prompt_id.get(n, -1) for n in ids]}
    kept = without_contested(masks, scores, groups.get(share, list(range(len(ids)))))
    return Shown(ids, [result.obj_id_to_score[n] for n in ids], boxes_of(masks), kept)


def kept_masks(masks: dict[int, Float[Tensor, "h w"]], device: torch.device) -> dict[int, Float[Tensor, "1 h w"]]:
    """Masks of one size where they are kept; all of them are brought there at once."""
    if not masks:
        return {}
    return dict(zip(masks, torch.stack(list(masks.values()))[:, None].to(device), strict=True))


def enlarged(logits: list[Float[Tensor, "1 _ _"]], size: tuple[int, int]) -> Float[Tensor, "N H W"]:
    """Bilinear, each mask from the size it has."""
    if not logits:
        return torch.zeros(0, *size)
    if len({mask.shape for mask in logits}) > 1:
        return torch.cat([enlarged([mask], size) for mask in logits])
    masks = torch.cat(logits)[:, None].float()
    return (
        F.interpolate(masks, size, mode="bilinear", align_corners=False)[:, 0]
        if masks.shape[2:] != size
        else masks[:, 0]
    )


def boxes_of(masks: Bool[Tensor, "N H W"]) -> Int[Tensor, "N 4"]:
    """First and last column and row that are set, as corners x, y, x, y; zeros for an empty mask."""
    (left, right), (top, bottom) = _ends(masks.any(1)), _ends(masks.any(2))
    return torch.stack([left, top, right, bottom], 1)


def _ends(occupied: Bool[Tensor, "N S"]) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    places = torch.arange(occupied.shape[1], device=occupied.device)
    return occupied.byte().argmax(1), torch.where(occupied, places, 0).amax(1)
