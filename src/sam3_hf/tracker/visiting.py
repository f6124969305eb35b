"""A visit to a frame: what the session plans is done by the tracker, and the session remembers.

image + Plan -> prompted objects, grouped by what was said -> answers --.
             -> followed objects, all in one batch ----------> found ---+-> memory; masks and scores of all objects
             -> known and absent objects -------------------------------'
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.ops.masks import resize_logits
from sam3_hf.tracker.mask_decoder import ImageLevels
from sam3_hf.tracker.prompts import Clicks
from sam3_hf.tracker.video_tracker import ABSENT, NO_OBJECT, Hint, TrackedFrame, VideoTracker, held, remembered
from sam3_hf.video.memory_selection import Visit, limits_of
from sam3_hf.video.overlaps import without_overlap
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession


class ShownObjects(NamedTuple):
    """What a frame shows, object by object, in the order of the session."""

    masks: Float[Tensor, "O 1 h w"]
    object_score_logits: Float[Tensor, "O 1"]


def visit_frame(
    tracker: VideoTracker,
    session: Sam3TrackerVideoInferenceSession,
    image: ImageLevels,
    visit: Visit,
    remember: bool,
) -> ShownObjects:
    """All objects of a session on one frame.

    Args:
        tracker: The networks.
        session: What is known; it is changed if `remember`.
        image: The frame.
        visit: Its number and the direction.
        remember: Whether the frame is remembered, and its prompts count as answered.
    """
    _check_fit(tracker, session)
    plan = session.plan(visit.frame_index)
    parts = list(_prompted(tracker, session, image, visit, plan.prompted))
    ids = [obj_id for group, _ in parts for obj_id in group] + plan.followed
    seen = [part for _, part in parts]
    if plan.followed:
        banks = [session.objects[obj_id].bank for obj_id in plan.followed]
        seen.append(tracker.step(image, banks, visit, scores=_scores(session, len(banks))))
    shown = _unchanged(session, image, visit.frame_index, plan.known, plan.absent)
    if seen:
        found = TrackedFrame.join(seen)
        if remember:
            _remember(tracker, session, image, visit, (ids, len(plan.prompted), found))
        shown |= dict(zip(ids, zip(found.masks, found.object_score_logits, strict=True), strict=True))
    if remember and plan.prompted and session.joint:
        _keep_apart(tracker, session, image, visit.frame_index)
    return _in_order(session, image, shown)


def answer_prompts(
    tracker: VideoTracker, session: Sam3TrackerVideoInferenceSession, image: ImageLevels, visit: Visit
) -> None:
    """The prompts of one frame alone, without a look at objects that have none there."""
    parts = list(_prompted(tracker, session, image, visit, session.plan(visit.frame_index).prompted))
    ids = [obj_id for group, _ in parts for obj_id in group]
    _remember(tracker, session, image, visit, (ids, len(ids), TrackedFrame.join([part for _, part in parts])))
    if session.joint:
        _keep_apart(tracker, session, image, visit.frame_index)


def _check_fit(tracker: VideoTracker, session: Sam3TrackerVideoInferenceSession) -> None:
    """Refuse memory that another model left."""
    widths = (tracker.no_object_pointer.shape[1], tracker.memory_temporal_positional_encoding.shape[-1])
    for obj_id, each in session.objects.items():
        memory = next(iter(each.bank.conditioning.values()), None)
        if memory is not None and memory.features is not None:
            found = (memory.pointers.shape[1], memory.features.shape[1])
            if found != widths:
                raise ValueError(
                    f"The memory of object {obj_id} was made by another model: its pointers and memories have {found} "
                    f"channels, this model's {widths}."
                )


def _prompted(
    tracker: VideoTracker,
    session: Sam3TrackerVideoInferenceSession,
    image: ImageLevels,
    visit: Visit,
    ids: Sequence[int],
) -> Iterator[tuple[list[int], TrackedFrame]]:
    """Answers to what was said, for as many objects at a time as have the same kind of prompt."""
    groups: dict[Any, list[int]] = {}
    for obj_id in ids:
        groups.setdefault(_kind(session, obj_id, visit.frame_index), []).append(obj_id)
    for group in groups.values():
        prompts = [session.objects[obj_id].prompts[visit.frame_index].kept() for obj_id in group]
        if prompts[0].mask is not None:
            masks = torch.stack([prompt.mask for prompt in prompts if prompt.mask is not None])
            yield group, tracker.prompt_with_mask(image, masks.to(image.patches.device))
        else:
            yield group, _pointed(tracker, session, image, visit, group)


def _kind(session: Sam3TrackerVideoInferenceSession, obj_id: int, number: int) -> tuple[Any, ...]:
    """Prompts that are equal in this can be answered in one batch."""
    each = session.objects[obj_id]
    prompt, earlier = each.prompts[number], each.bank.get(number)
    if prompt.mask is not None:
        return ("mask", *prompt.mask.shape)
    # Parity: a frame that was never tracked is judged by itself, whatever is remembered.
    tracked = earlier.reverse if earlier is not None and prompt.use_memory and each.bank.conditioning else None
    return ("points", len(prompt.kept().points), earlier is not None and earlier.masks is not None, tracked)


def _pointed(
    tracker: VideoTracker,
    session: Sam3TrackerVideoInferenceSession,
    image: ImageLevels,
    visit: Visit,
    ids: Sequence[int],
) -> TrackedFrame:
    """Answers to points, with what each object was taken for until now."""
    device = image.patches.device
    objects = [session.objects[obj_id] for obj_id in ids]
    prompts = [each.prompts[visit.frame_index].kept() for each in objects]
    clicks = Clicks(
        torch.stack([prompt.points for prompt in prompts]).to(device),
        torch.stack([prompt.labels for prompt in prompts]).to(device),
    )
    known = [each.bank.get(visit.frame_index) for each in objects]
    masks = [memory.masks.to(device) for memory in known if memory is not None and memory.masks is not None]
    hint = Hint(clicks, held(torch.cat(masks)) if masks else None)
    *_, tracked = _kind(session, ids[0], visit.frame_index)
    if tracked is None:
        return tracker.prompt_with_clicks(image, hint)
    # Parity: for a click, no tracked frame counts as good; of them, only the one before is looked at.
    scores = [{} for _ in ids]
    return tracker.step(image, [each.bank for each in objects], visit._replace(reverse=tracked), hint, scores)


def _remember(
    tracker: VideoTracker,
    session: Sam3TrackerVideoInferenceSession,
    image: ImageLevels,
    visit: Visit,
    found: tuple[Sequence[int], int, TrackedFrame],
) -> None:
    """The frame joins the memory of every object that was found on it, those with prompts first."""
    ids, prompted, seen = found
    binary = torch.arange(len(ids), device=image.patches.device) < prompted
    features = tracker.memorize(image, seen.masks, seen.object_score_logits, binary=binary)
    memories = remembered(seen, features, [1] * len(ids), session.memory_dtype, session.inference_state_device)
    for place, (obj_id, memory) in enumerate(zip(ids, memories, strict=True)):
        if place < prompted:
            session.answered(obj_id, visit.frame_index, memory, limits_of(tracker.config))
        else:
            session.followed(obj_id, visit.frame_index, memory, visit.reverse)


def _keep_apart(
    tracker: VideoTracker, session: Sam3TrackerVideoInferenceSession, image: ImageLevels, number: int
) -> None:
    """Objects that were shown on the same frame do not overlap in memory."""
    banks = [each.bank for each in session.objects.values() if number in each.bank.conditioning]
    memories = [bank.conditioning[number].to(image.patches.device) for bank in banks]
    masks = torch.cat([memory.masks for memory in memories if memory.masks is not None])
    side = tracker.side_of(image)
    apart = without_overlap(resize_logits(masks[:, 0], (side, side))).unsqueeze(1)
    scores = torch.cat([memory.object_score_logits for memory in memories])
    features = tracker.memorize(image, apart, scores, binary=True).to(session.memory_dtype)
    for bank, each in zip(banks, features.split(1), strict=True):
        bank.conditioning[number].features = each.to(session.inference_state_device, copy=True)


def _unchanged(
    session: Sam3TrackerVideoInferenceSession, image: ImageLevels, number: int, known: list[int], absent: list[int]
) -> dict[int, tuple[Tensor, Tensor]]:
    """Masks and scores of objects that are known on this frame, and of those that cannot be anywhere."""
    shown = {}
    for obj_id in known:
        memory = session.objects[obj_id].bank.conditioning[number].to(image.patches.device)
        if memory.masks is not None:
            shown[obj_id] = (memory.masks[0], memory.object_score_logits[0])
    height, width = image.finest.shape[2:]
    nowhere = (image.patches.new_full((1, height, width), NO_OBJECT), image.patches.new_full((1,), ABSENT))
    return shown | dict.fromkeys(absent, nowhere)


def _in_order(
    session: Sam3TrackerVideoInferenceSession, image: ImageLevels, shown: dict[int, tuple[Tensor, Tensor]]
) -> ShownObjects:
    """All objects in the order of the session."""
    if not shown:
        height, width = image.finest.shape[2:]
        return ShownObjects(image.patches.new_zeros(0, 1, height, width), image.patches.new_zeros(0, 1))
    masks, scores = zip(*(shown[obj_id] for obj_id in session.obj_ids), strict=True)
    return ShownObjects(torch.stack(masks), torch.stack(scores))


def _scores(session: Sam3TrackerVideoInferenceSession, banks: int) -> list[dict[int, float]] | None:
    """Scores that all objects share, where they share them."""
    return [session.joint_scores()] * banks if session.joint else None
