"""Tracking: what the tracker knows of all objects on a frame, and how the frame is remembered.

Sight + buckets -> Followed: masks, scores -> (decisions) -> memories of the frame, one per bucket
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from sam3_hf.following.seeing import Sight
from sam3_hf.ops.rows import on_device
from sam3_hf.tracker.video_tracker import TrackedFrame, remembered
from sam3_hf.video.bucket import Bucket, all_ids
from sam3_hf.video.memory_selection import Visit, limits_of
from sam3_hf.video.overlaps import without_hidden, without_overlap
from sam3_hf.video.state import FrameMemory, MemoryBank

# Cells of a mask along one patch, as masks are remembered.
_READ = 16
_PRESENT, _ABSENT = 10.0, -10.0


class Followed(NamedTuple):
    """All objects of a frame, in the order of their buckets.

    Attributes:
        frame: Masks, scores, pointers of all objects.
        buckets: Where they are remembered.
    """

    frame: TrackedFrame
    buckets: list[Bucket]

    @property
    def ids(self) -> list[int]:
        """The objects."""
        return all_ids(self.buckets)

    def where(self, ids: Collection[int], news: TrackedFrame) -> "Followed":
        """The same, with something new known of some objects, which `news` has in the order of `ids`."""
        rows = [self.ids.index(number) for number in ids]
        return self._replace(frame=replaced(self.frame, rows, news))


def follow(tracker: Any, sight: Sight, buckets: list[Bucket], visit: Visit) -> Followed:
    """Find all objects again, in one batch; those that were shown on this frame are where they were shown."""
    moving = [bucket for bucket in buckets if visit.frame_index not in bucket.bank.conditioning]
    tracked = tracker.step(sight.image, [bucket.bank for bucket in moving], visit) if moving else None
    parts, row = [], 0
    for bucket in buckets:
        shown = bucket.bank.conditioning.get(visit.frame_index)
        if shown is None:
            parts.append(TrackedFrame(*(part[row : row + len(bucket.ids)] for part in tracked)))  # pyright: ignore
            row += len(bucket.ids)
        else:
            parts.append(as_frame(shown))
    return Followed(TrackedFrame.join(parts), buckets)


def as_frame(memory: FrameMemory) -> TrackedFrame:
    """What is remembered of a frame, as if it had just been found."""
    if memory.masks is None:
        raise ValueError("The masks of this frame were let go.")
    quality = torch.tensor(memory.ious).to(memory.pointers.device, non_blocking=True)
    return TrackedFrame(memory.masks, memory.object_score_logits, memory.pointers, quality)


def replaced(frame: TrackedFrame, rows: Sequence[int], news: TrackedFrame) -> TrackedFrame:
    """The same frame, with something new known of some rows."""
    index = on_device(rows, frame.masks)
    return TrackedFrame(*(old.index_copy(0, index, new.to(old)) for old, new in zip(frame, news, strict=True)))


def memorize_found(
    tracker: Any, sight: Sight, masks: Float[Tensor, "R h w"], groups: list[int]
) -> Float[Tensor, "R m H W"]:
    """How objects are remembered that were found side by side.

    Those that others of their phrase cover almost wholly, and those without any pixel, are remembered as absent.
    """
    side = _READ * sight.grid
    large = F.interpolate(masks.unsqueeze(1), (side, side), mode="bilinear", align_corners=False)
    large = without_hidden(large[:, 0], groups).unsqueeze(1)
    # Parity: what counts is whether there are pixels, not how sure the tracker is.
    present = large.flatten(1).amax(1, keepdim=True) > 0
    return tracker.memorize(sight.image, large, torch.where(present, _PRESENT, _ABSENT), side=side)


def memorize_shown(tracker: Any, sight: Sight, frame: TrackedFrame) -> Float[Tensor, "R m H W"]:
    """How objects of one bucket are remembered that were shown: without overlap, and with sharp outlines."""
    patch = tracker.config.prompt_encoder_config.patch_size
    side = sight.grid * (patch if isinstance(patch, int) else patch[0])
    large = F.interpolate(frame.masks.float(), (side, side), mode="bilinear", align_corners=False)
    apart = without_overlap(large[:, 0]).unsqueeze(1)
    return tracker.memorize(sight.image, apart, frame.object_score_logits, side=side, binary=True)


def remember(
    followed: Followed,
    features: Float[Tensor, "R m H W"],
    visit: Visit,
    dtype: torch.dtype,
    shown: Collection[int] = (),
) -> None:
    """Keep a frame; it becomes, or stays, one to hold on to for the buckets of objects that were `shown`."""
    memories = remembered(followed.frame, features, [len(bucket.ids) for bucket in followed.buckets], dtype)
    for bucket, memory in zip(followed.buckets, memories, strict=True):
        held = visit.frame_index in bucket.bank.conditioning or any(number in shown for number in bucket.ids)
        bucket.bank.remember(visit.frame_index, memory, conditioning=held)


def show(
    tracker: Any, sight: Sight, logits: Float[Tensor, "R h w"], groups: Sequence[int], size: tuple[int, int] | None
) -> TrackedFrame:
    """Show the detector's masks to the tracker; `groups` are remembered together, `size` is that of the video."""
    side = _READ * sight.grid
    masks = F.interpolate(logits.unsqueeze(1), (side, side), mode="bilinear", align_corners=False) > 0
    seen = masks
    if size is not None:
        seen = F.interpolate(masks.float(), size, mode="bilinear", align_corners=False, antialias=True) > 0.5
    return tracker.prompt_with_mask(sight.image, masks, _one_by_one(seen, groups))


def _one_by_one(masks: Bool[Tensor, "R 1 H W"], groups: Sequence[int]) -> Bool[Tensor, "R 1 H W"]:
    """Parity: masks are shown one after the other, and each takes its pixels from those of its group before it."""
    taken: dict[int, Tensor] = {}
    left = masks.clone()
    for row in reversed(range(len(masks))):
        later = taken.get(groups[row])
        if later is not None:
            left[row] = masks[row] & ~later
        taken[groups[row]] = masks[row] if later is None else masks[row] | later
    return left


def new_buckets(
    tracker: Any, sight: Sight, ids: Sequence[list[int]], frame: TrackedFrame, visit: Visit, dtype: torch.dtype
) -> list[Bucket]:
    """Objects that are shown for the first time, in the order of `frame`; one bucket for each list of ids."""
    buckets = [Bucket(some, MemoryBank(len(some), limits_of(tracker.config))) for some in ids]
    parts = [TrackedFrame(*each) for each in zip(*(part.split([len(s) for s in ids]) for part in frame), strict=True)]
    features = torch.cat([memorize_shown(tracker, sight, part) for part in parts])
    remember(Followed(frame, buckets), features, visit, dtype, shown=all_ids(buckets))
    return buckets
