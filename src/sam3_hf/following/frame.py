"""A frame from beginning to end: objects are found and found again, compared, decided upon, remembered.

Sight -> detections --.
      -> tracks ------+-> evidence -> plan -> memories, new and removed objects -> result
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.following.detecting import detect
from sam3_hf.following.seeing import Scene
from sam3_hf.following.tracking import Followed, follow, memorize_found, new_buckets, remember, show
from sam3_hf.ops.rows import on_device
from sam3_hf.video.cleaning import cleaned
from sam3_hf.video.concept_session import NO_PHRASE, Sam3VideoInferenceSession
from sam3_hf.video.detections import Detections
from sam3_hf.video.evidence import Tracks, gather
from sam3_hf.video.overlaps import GIVEN_UP
from sam3_hf.video.planning import Plan, plan_frame
from sam3_hf.video.results import Sam3VideoSegmentationOutput, kept_masks


@torch.no_grad()
def process_frame(scene: Scene, detections: Detections | None = None) -> Sam3VideoSegmentationOutput:
    """Go through a frame once, and bring the session up to date.

    Args:
        scene: The frame.
        detections: What was found on it; the detector looks for it if not given.
    """
    parts, session, sight, visit = scene
    config, register = parts.config, session.register
    every = config.detect_every_nth_frame
    searched = {n: p for n, p in session.phrases.items() if p.searched_on(visit.frame_index, every)}
    if detections is None:
        detections = detect(parts.detector, sight, searched, visit.frame_index, config)
    followed = follow(parts.tracker, sight, session.buckets, visit) if session.buckets else None
    tracks = _tracks(followed, detections, session, config.fill_hole_area)
    plan = plan_frame(register, gather(detections, tracks, searched), visit, config)
    tracks = tracks._replace(logits=_without(tracks, plan.erased))
    if followed is not None:
        _remember(scene, _started_anew(scene, followed, detections, plan), tracks, plan)
    _add_new(scene, detections, plan)
    session.buckets = [bucket for bucket in session.buckets if bucket.without(plan.removed)]
    session.last_frame = visit.frame_index
    result = _result(scene, tracks, detections, plan)
    register.prune()
    session.keep_output(result)
    return result


def _tracks(followed: Followed | None, detections: Detections, session: Sam3VideoInferenceSession, area: int) -> Tracks:
    """The objects that are followed, with small holes and pieces gone."""
    if followed is None:
        none = detections.logits[:0]
        return Tracks([], none, none.new_zeros(0), [])
    masks = cleaned(followed.frame.masks[:, 0].float(), area)
    phrases = [session.register.phrase.get(number, NO_PHRASE) for number in followed.ids]
    return Tracks(followed.ids, masks, followed.frame.object_score_logits[:, 0].float(), phrases)


def _without(tracks: Tracks, erased: list[int]) -> Float[Tensor, "T h w"]:
    """Masks, some of them emptied."""
    if not erased:
        return tracks.logits
    rows = on_device([tracks.ids.index(number) for number in erased], tracks.logits)
    return tracks.logits.index_fill(0, rows, GIVEN_UP)


def _started_anew(scene: Scene, followed: Followed, detections: Detections, plan: Plan) -> Followed:
    """Tracks that start anew are known by the detector's mask, and by the pointer made of it."""
    anew = plan.reconditioning.detections
    if not anew:
        return followed
    homes = [next(n for n, bucket in enumerate(followed.buckets) if number in bucket.ids) for number in anew]
    logits = detections.logits[on_device(list(anew.values()), detections.logits)]
    return followed.where(anew, show(scene.parts.tracker, scene.sight, logits, homes, scene.session.video_size))


def _remember(scene: Scene, followed: Followed, tracks: Tracks, plan: Plan) -> None:
    """Keep the frame; what later frames read of it is always made of the tracked masks."""
    features = memorize_found(scene.parts.tracker, scene.sight, tracks.logits, tracks.phrases)
    anew, dtype = plan.reconditioning.detections, scene.session.memory_dtype
    remember(followed, features, scene.visit, dtype, shown=anew)


def _add_new(scene: Scene, detections: Detections, plan: Plan) -> None:
    """New objects are shown to the tracker; those of each phrase are remembered together."""
    session, tracker = scene.session, scene.parts.tracker
    by_phrase: dict[int, list[int]] = {}
    for number in plan.born:
        by_phrase.setdefault(session.register.phrase[number], []).append(number)
    if not by_phrase:
        return
    groups = list(by_phrase.values())
    places = [plan.born[number] for ids in groups for number in ids]
    homes = [home for home, ids in enumerate(groups) for _ in ids]
    logits = detections.logits[on_device(places, detections.logits)]
    frame = show(tracker, scene.sight, logits, homes, session.video_size)
    session.buckets += new_buckets(tracker, scene.sight, groups, frame, scene.visit, session.memory_dtype)


def _result(scene: Scene, tracks: Tracks, detections: Detections, plan: Plan) -> Sam3VideoSegmentationOutput:
    """What is said of the frame: objects that were there before it, also those that go now, and new ones."""
    register = scene.session.register
    masks = dict(zip(tracks.ids, tracks.logits, strict=True))
    anew = plan.reconditioning
    masks |= {number: detections.logits[anew.detections[number]] for number in anew.shown if number in anew.detections}
    found = detections.logits[on_device(list(plan.born.values()), detections.logits)]
    masks |= dict(zip(plan.born, cleaned(found, scene.parts.config.fill_hole_area), strict=True))
    scores = dict(zip(tracks.ids, plan.track_scores, strict=True))
    return Sam3VideoSegmentationOutput(
        object_ids=plan.ids,
        obj_id_to_mask=kept_masks(masks, scene.session.inference_state_device),
        obj_id_to_score=dict(register.score),
        obj_id_to_tracker_score=scores | {number: register.score[number] for number in plan.born},
        removed_obj_ids=set(register.removed),
        suppressed_obj_ids=set(plan.hidden),
        frame_idx=scene.visit.frame_index,
        obj_id_to_prompt_id=dict(register.phrase),
    )
