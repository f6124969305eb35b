"""Clicking: the user says something about single objects, and the tracker follows these anew.

clicks of a frame -> tracker, without memory -> masks -> memory of the object's bucket -> the frame's result, corrected
touched buckets --> tracker --> results of other frames, corrected; the detector is not asked
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.following.seeing import Scene, Sight
from sam3_hf.following.tracking import Followed, as_frame, follow, memorize_shown, new_buckets, remember, replaced
from sam3_hf.tracker.prompts import Clicks
from sam3_hf.tracker.video_tracker import Hint, TrackedFrame, held
from sam3_hf.video.bucket import Bucket, all_ids
from sam3_hf.video.cleaning import cleaned
from sam3_hf.video.concept_session import NO_PHRASE, Sam3VideoInferenceSession
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.results import Sam3VideoSegmentationOutput, enlarged, kept_masks


@torch.no_grad()
def answer_clicks(scene: Scene) -> Sam3VideoSegmentationOutput:
    """Answer all that was said about objects on a frame, and remember it; the other objects stay as they were."""
    session, frame_index = scene.session, scene.visit.frame_index
    result = _result_so_far(session, frame_index)
    for number, said in session.pending.pop(frame_index).items():
        session.clicks.setdefault(frame_index, {})[number] = said
        answer = _answer(scene, number, said.kept())
        session.register.clicked(number, NO_PHRASE)
        session.touched.add(number)
        _correct(result, [number], answer, session)
        mask = result.obj_id_to_mask[number]
        result.obj_id_to_mask[number] = _tidy(mask, scene.parts.config.fill_hole_area, session)
    if session.delay is not None:
        session.delay.correct(result)
    session.keep_output(result)
    return result


@torch.no_grad()
def follow_touched(scene: Scene, touched: set[int]) -> Sam3VideoSegmentationOutput:
    """Follow the buckets of some objects through a frame; the other objects stay as they were."""
    session, tracker, frame_index = scene.session, scene.parts.tracker, scene.visit.frame_index
    buckets = [bucket for bucket in session.buckets if touched & set(bucket.ids)]
    result = _result_so_far(session, frame_index)
    followed = follow(tracker, scene.sight, buckets, scene.visit)
    moving = [bucket for bucket in buckets if frame_index not in bucket.bank.conditioning]
    if moving:
        rows = [row for row, number in enumerate(followed.ids) if number in all_ids(moving)]
        found = Followed(followed.frame.rows(rows), moving)
        features = tracker.memorize(scene.sight.image, found.frame.masks, found.frame.object_score_logits)
        remember(found, features, scene.visit, session.memory_dtype)
    masks = cleaned(followed.frame.masks[:, 0].float(), scene.parts.config.fill_hole_area)
    _correct(result, followed.ids, followed.frame._replace(masks=masks.unsqueeze(1)), session)
    session.keep_output(result)
    return result


def _answer(scene: Scene, number: int, said: ObjectPrompt) -> TrackedFrame:
    """What one object is, by what was said about it; its bucket remembers that."""
    session, tracker, sight = scene.session, scene.parts.tracker, scene.sight
    bucket = next((bucket for bucket in session.buckets if number in bucket.ids), None)
    known = _known(bucket, scene.visit.frame_index)
    row = 0 if bucket is None else bucket.ids.index(number)
    answer = _ask(tracker, sight, said, None if known is None else known.masks[row : row + 1])
    if bucket is None:
        (bucket,) = new_buckets(tracker, sight, [[number]], answer, scene.visit, session.memory_dtype)
        session.buckets.append(bucket)
    else:
        if known is None and len(bucket.ids) > 1:
            # Nothing is known of its neighbours on this frame, so they are left in peace.
            bucket = bucket.split(number)
            session.buckets.append(bucket)
        whole = answer if known is None else replaced(known, [row], answer)
        features = memorize_shown(tracker, sight, whole)
        remember(Followed(whole, [bucket]), features, scene.visit, session.memory_dtype, shown=[number])
    bucket.trust_click(scene.visit.frame_index, scene.parts.config.refinement_detector_cond_frame_removal_window)
    return answer


def _known(bucket: Bucket | None, frame_index: int) -> TrackedFrame | None:
    """What a bucket shows on a frame, as far as that is kept."""
    memory = None if bucket is None else bucket.bank.get(frame_index)
    return None if memory is None or memory.masks is None else as_frame(memory)


def _ask(tracker: Any, sight: Sight, said: ObjectPrompt, previous: Float[Tensor, "1 1 h w"] | None) -> TrackedFrame:
    """One object, by a mask or by points; `previous` is what it was taken for until now."""
    device = sight.image.patches.device
    if said.mask is not None:
        return tracker.prompt_with_mask(sight.image, said.mask[None].to(device))
    clicks = Clicks(said.points[None].to(device).float(), said.labels[None].to(device))
    return tracker.prompt_with_clicks(sight.image, Hint(clicks, None if previous is None else held(previous)))


def _result_so_far(session: Sam3VideoInferenceSession, frame_index: int) -> Sam3VideoSegmentationOutput:
    """A copy of the frame's result, or an empty one."""
    known = session.outputs.get(frame_index)
    return Sam3VideoSegmentationOutput(
        object_ids=session.obj_ids,
        obj_id_to_mask=dict(known.obj_id_to_mask) if known else {},
        obj_id_to_score=dict(session.register.score),
        obj_id_to_tracker_score=dict(known.obj_id_to_tracker_score) if known else {},
        removed_obj_ids=set(session.register.removed),
        suppressed_obj_ids=set(known.suppressed_obj_ids) if known else set(),
        frame_idx=frame_index,
        obj_id_to_prompt_id=dict(session.register.phrase),
    )


def _correct(
    result: Sam3VideoSegmentationOutput, ids: list[int], frame: TrackedFrame, session: Sam3VideoInferenceSession
) -> None:
    """Put objects into a result as they were just found; what the user points at is shown."""
    scores = frame.object_score_logits[:, 0].float().sigmoid().tolist()
    result.obj_id_to_mask |= kept_masks(
        dict(zip(ids, frame.masks[:, 0].float(), strict=True)), session.inference_state_device
    )
    result.obj_id_to_tracker_score |= dict(zip(ids, scores, strict=True))
    result.suppressed_obj_ids.difference_update(ids)
    result.object_ids = session.obj_ids
    result.removed_obj_ids = set(session.register.removed)
    result.obj_id_to_score = dict(session.register.score)
    result.obj_id_to_prompt_id = dict(session.register.phrase)


def _tidy(mask: Float[Tensor, "1 h w"], area: int, session: Sam3VideoInferenceSession) -> Float[Tensor, "1 H W"]:
    """The answer to a click at the size of the video, without small holes and pieces there."""
    return cleaned(mask if session.video_size is None else enlarged([mask], session.video_size), area)
