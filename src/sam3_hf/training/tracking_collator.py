"""Collator of the tracker: stills and clips become one batch of objects to point at and to follow.

ImageExample -> one frame; ClipExample -> some frames in a row -> pixel_values [B, T, 3, S, S]
objects seen on the first of them -> a few -> labels [R, T, H, W], image_index [R]
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from sam3_hf.datasets.examples import ClipExample, ImageExample
from sam3_hf.inputs.sizes import read_size
from sam3_hf.training.labels import resize_masks


class Cut(NamedTuple):
    """Frames in a row, and the masks of the objects that are looked for in them."""

    frames: Sequence[Image.Image]
    masks: Bool[Tensor, "n T H W"]


class TrackingCollator:
    """Makes inputs of `TrackerLearner` of a list of `ImageExample` or `ClipExample`.

    What is left to chance depends on the seed and on the ids of the examples alone.

    Args:
        image_processor: The `Sam3ImageProcessor` of the model.
        objects: Objects per clip or still, at most.
        frames: Frames of each clip, cut from anywhere in it; all of them if not given.
        mask_size: (height, width) of the labels; the size of the model's input if not given. Smaller ones save memory.
        reverse_share: Share of clips that run backwards.
        seed: 0 or more.
    """

    def __init__(
        self,
        image_processor: Any,
        objects: int = 3,
        frames: int | None = None,
        mask_size: Any = None,
        reverse_share: float = 0.5,
        seed: int = 0,
    ) -> None:
        if objects < 1 or (frames is not None and frames < 1) or not 0 <= reverse_share <= 1:
            raise ValueError(
                "Pass at least one object and one frame, and a share of 0 to 1; "
                f"got {objects} objects, {frames} frames, reverse_share={reverse_share}."
            )
        self.image_processor = image_processor
        self.objects = objects
        self.frames = frames
        self.mask_size = read_size(image_processor.size if mask_size is None else mask_size, "mask_size")
        self.reverse_share = reverse_share
        self.seed = seed

    def __call__(self, examples: Sequence[ImageExample | ClipExample]) -> dict[str, Any]:
        """One batch; an example without an object is left out.

        Raises:
            ValueError: No example has an object, or they have different numbers of frames.
        """
        chance = np.random.default_rng([self.seed, *map(_number, examples)])
        cuts = [cut for cut in (self._cut(example, chance) for example in examples) if cut is not None]
        lengths = {len(cut.frames) for cut in cuts}
        if len(lengths) != 1:
            raise ValueError(
                f"The clips of a batch need one length, got {sorted(lengths)}; pass frames=." if lengths
                else "No example of this batch has an object with a mask; see WithObjects."
            )  # fmt: skip
        images = [frame for cut in cuts for frame in cut.frames]
        pixels = self.image_processor(images, return_tensors="pt")["pixel_values"]
        counts = torch.tensor([len(cut.masks) for cut in cuts])
        return {
            "pixel_values": pixels.unflatten(0, (len(cuts), -1)),
            "image_index": torch.repeat_interleave(torch.arange(len(cuts)), counts),
            "labels": torch.cat([cut.masks for cut in cuts]),
            "seed": int(chance.integers(2**31)),
        }

    def _cut(self, example: ImageExample | ClipExample, chance: np.random.Generator) -> Cut | None:
        """Frames, and objects that are seen on the first one; `None` where there is none."""
        frames, masks = _frames_of(example)
        length = self.frames if self.frames is not None and len(masks) > 1 else len(masks)
        if length > len(masks):
            raise ValueError(f"Clip {_number(example)} has {len(masks)} frames, fewer than the {length} asked for.")
        if chance.random() < self.reverse_share:
            frames, masks = frames[::-1], masks[::-1]
        seen = masks.any((2, 3))
        starts = np.flatnonzero(seen[: len(masks) - length + 1].any(1))
        if not len(starts):
            return None
        start = int(chance.choice(starts))
        some = np.sort(chance.permutation(np.flatnonzero(seen[start]))[: self.objects])
        shown = torch.from_numpy(np.ascontiguousarray(masks[start : start + length, some].swapaxes(0, 1)))
        small = resize_masks(shown.flatten(0, 1), self.mask_size).unflatten(0, (len(some), length))
        small = small[small[:, 0].flatten(1).any(1)]
        return Cut(frames[start : start + length], small) if len(small) else None


class WithObjects(Dataset):
    """A dataset in which every example has an object with a mask: in place of one that has none comes the next one.

    Args:
        examples: Dataset of `ImageExample` or `ClipExample`.
    """

    def __init__(self, examples: Any) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> ImageExample | ClipExample:
        for step in range(len(self.examples)):
            example = self.examples[(index + step) % len(self.examples)]
            if _frames_of(example)[1].any():
                return example
        raise ValueError("No example of this dataset has an object with a mask.")


def _number(example: ImageExample | ClipExample) -> int:
    return example.clip_id if isinstance(example, ClipExample) else example.image_id


def _frames_of(example: ImageExample | ClipExample) -> tuple[Sequence[Image.Image], Any]:
    """Frames, and the masks [T, n, H, W] of all objects on each."""
    if isinstance(example, ClipExample):
        return example.frames, np.asarray(example.masks)
    return (example.image,), objects_of(example)[None]


def objects_of(example: ImageExample) -> Bool[np.ndarray, "n H W"]:
    """Masks of all objects that the prompts of an image mean, each once."""
    size = (example.image.height, example.image.width)
    masks = [np.asarray(mask) for prompt in example.prompts if prompt.masks is not None for mask in prompt.masks]
    different = {mask.tobytes(): mask for mask in masks if mask.any()}
    return np.stack(list(different.values())) if different else np.zeros((0, *size), bool)
