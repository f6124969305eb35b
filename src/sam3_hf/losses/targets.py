"""Targets: the objects of every prompt row, out of the `labels` of the user.

labels, one dictionary per row -> checked -> boxes [T, 4] of all rows, and masks where there are any
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sam3_hf.ops.boxes import to_cxcywh
from sam3_hf.ops.masks import boxes_of_masks

_KEYS = ("boxes", "masks", "mask_valid", "semantic_mask", "class_labels")
# Boxes of images that were resized may leave 0..1 by rounding.
_SLACK = 1e-3


class Targets(NamedTuple):
    """Objects of all rows, one after the other; a row without objects is a negative prompt."""

    boxes_cxcywh: Float[Tensor, "T 4"]
    row: Int[Tensor, " T"]
    counts: tuple[int, ...]
    mask_valid: Bool[Tensor, " T"]
    masks: tuple[Tensor | None, ...]
    semantic_masks: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, labels: Any, rows: int, device: torch.device) -> "Targets":
        """Targets of `labels`, on the device of the model.

        Raises:
            ValueError: There is not one dictionary per row, or one of them cannot be what it says.
        """
        check_count(labels, rows)
        given = [_on(device, label, place) for place, label in enumerate(labels)]
        for place, label in enumerate(given):
            _check_shapes(label, f"labels[{place}]")
        _check_sizes(given)
        boxes = [_boxes_of(label, f"labels[{place}]") for place, label in enumerate(given)]
        counts = tuple(len(each) for each in boxes)
        targets = cls(
            boxes_cxcywh=torch.cat(boxes),
            row=torch.repeat_interleave(torch.arange(rows), torch.tensor(counts)).to(device),
            counts=counts,
            mask_valid=torch.cat([_valid(label, count) for label, count in zip(given, counts, strict=True)]),
            masks=tuple(label.get("masks") for label in given),
            semantic_masks=tuple(label.get("semantic_mask") for label in given),
        )
        _check_values(targets)
        return targets

    @property
    def have_masks(self) -> bool:
        """Whether any row has pixels to compare."""
        return any(mask is not None and len(mask) for mask in (*self.masks, *self.semantic_masks))

    def without_masks(self) -> "Targets":
        """The same objects, boxes alone."""
        nothing = (None,) * len(self.counts)
        return self._replace(masks=nothing, semantic_masks=nothing, mask_valid=torch.zeros_like(self.mask_valid))

    def boxes_of_rows(self) -> tuple[Float[Tensor, "n 4"], ...]:
        """Boxes of each row."""
        return self.boxes_cxcywh.split(self.counts)

    def present(self) -> Float[Tensor, " P"]:
        """1 for rows that have an object with an area, 0 for the others."""
        visible = (self.boxes_cxcywh[:, 2:] > 0).all(-1).to(self.boxes_cxcywh.dtype)
        none = visible.new_zeros(len(self.counts))
        return none.index_add(0, self.row, visible).clamp(max=1)

    def masks_of(self, objects: Sequence[int]) -> list[Tensor]:
        """Masks of some objects, which must have one."""
        views = [mask for masks, n in zip(self.masks, self.counts, strict=True) for mask in _views(masks, n)]
        return [views[index] for index in objects]

    def semantic_of(self, row: int) -> Bool[Tensor, "H W"] | None:
        """All objects of a row together, `None` where nothing is said."""
        given, masks = self.semantic_masks[row], self.masks[row]
        if given is not None:
            return given.bool()
        return masks.bool().any(0) if masks is not None and len(masks) else None


def check_count(labels: Any, rows: int) -> None:
    """Refuse labels that are not one dictionary per prompt row."""
    if not isinstance(labels, (list, tuple)) or not all(hasattr(label, "keys") for label in labels):
        raise ValueError(f"labels must be a list of dictionaries, one per prompt row; got {type(labels).__name__}.")
    if len(labels) != rows:
        raise ValueError(f"labels must have one dictionary per prompt row: {rows} rows, {len(labels)} dictionaries.")


def _on(device: torch.device, label: Any, place: int) -> dict[str, Tensor]:
    """One row's tensors on the device; keys that nobody reads are refused, so that a slip does not go unnoticed."""
    if unknown := sorted(set(label.keys()) - set(_KEYS)):
        raise ValueError(f"labels[{place}] has unknown keys {unknown}; known are {', '.join(_KEYS)}.")
    for key, value in label.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"labels[{place}]['{key}'] must be a tensor, got {type(value).__name__}.")
    return {key: value.to(device, non_blocking=True) for key, value in label.items()}


def _check_shapes(label: dict[str, Tensor], name: str) -> None:
    boxes, masks = label.get("boxes"), label.get("masks")
    if boxes is None and masks is None:
        raise ValueError(f"{name} needs 'boxes' (n, 4), or 'masks' (n, height, width) to take them from.")
    if boxes is not None and (boxes.ndim != 2 or boxes.shape[1] != 4 or not boxes.is_floating_point()):
        raise ValueError(f"{name}['boxes'] must be float (n, 4), got {boxes.dtype} {tuple(boxes.shape)}.")
    if masks is not None and masks.ndim != 3:
        raise ValueError(f"{name}['masks'] must be (n, height, width), got {tuple(masks.shape)}.")
    if (semantic := label.get("semantic_mask")) is not None and semantic.ndim != 2:
        raise ValueError(f"{name}['semantic_mask'] must be (height, width), got {tuple(semantic.shape)}.")
    for key in ("masks", "semantic_mask"):
        if key in label and label[key].dtype not in (torch.bool, torch.uint8):
            raise ValueError(f"{name}['{key}'] must be bool or uint8, got {label[key].dtype}.")
    numbers = {key: len(label[key]) for key in ("boxes", "masks", "mask_valid", "class_labels") if key in label}
    if len(set(numbers.values())) > 1:
        raise ValueError(f"{name} must have the same number of objects everywhere, got {numbers}.")


def _check_sizes(labels: list[dict[str, Tensor]]) -> None:
    sizes = {tuple(label[key].shape[-2:]) for label in labels for key in ("masks", "semantic_mask") if key in label}
    if len(sizes) > 1:
        raise ValueError(f"All masks of a batch must have the same height and width, got {sorted(sizes)}.")


def _boxes_of(label: dict[str, Tensor], name: str) -> Float[Tensor, "n 4"]:
    """A row's boxes, from its masks if it has none."""
    if "boxes" in label:
        boxes = label["boxes"]
        return boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    masks = label["masks"].bool()
    if not masks.flatten(1).any(1).all():
        raise ValueError(f"A mask of {name} is empty, so it has no box: leave the object out, or pass 'boxes' too.")
    height, width = masks.shape[-2:]
    edges = boxes_of_masks(masks) / torch.tensor([width, height, width, height], device=masks.device)
    return to_cxcywh(edges)


def _valid(label: dict[str, Tensor], count: int) -> Bool[Tensor, " n"]:
    """Which objects of a row have a mask."""
    some = next(iter(label.values()))
    if "masks" not in label:
        return torch.zeros(count, dtype=torch.bool, device=some.device)
    return label["mask_valid"].bool() if "mask_valid" in label else some.new_ones(count, dtype=torch.bool)


def _check_values(targets: Targets) -> None:
    boxes = targets.boxes_cxcywh
    wrong = ~((boxes >= -_SLACK) & (boxes <= 1 + _SLACK)).all(-1)  # what is not a number is wrong too
    if wrong.any():
        worst = int(wrong.nonzero()[0])
        row = int(targets.row[worst])
        raise ValueError(
            f"labels[{row}]['boxes'] must be centre x, centre y, width, height within 0..1, relative to the whole "
            f"canvas; got {boxes[worst].tolist()}."
        )
    for key, masks in (("masks", targets.masks), ("semantic_mask", targets.semantic_masks)):
        for row, mask in enumerate(masks):
            if mask is not None and mask.dtype == torch.uint8 and mask.numel() and int(mask.max()) > 1:
                raise ValueError(f"labels[{row}]['{key}'] must hold 0 and 1 alone, got {int(mask.max())}.")


def _views(masks: Tensor | None, count: int) -> Sequence[Any]:
    return [None] * count if masks is None else masks.unbind()
