"""How often the host waits for the device on a frame: as often for many objects as for one."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from sam3_hf.following.frame import process_frame
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.video.detections import Detections
from tests.support import concept_golden as concepts
from tests.support import video_golden as objects
from tests.support.waits import waits_of

# What docs/video.md states: a frame, new objects on it, results or memories that are kept elsewhere.
CONCEPTS, BORN, RESULTS_ELSEWHERE = 6, 3, 1
OBJECTS, MEMORIES_ELSEWHERE = 1, 5


def blocks(count: int, phrases: int, side: int = 48) -> Detections:
    """So many squares side by side, each found with certainty, by one phrase after the other."""
    logits = torch.full((count, side, side), -5.0)
    for number in range(count):
        top, left = 12 * (number // 4), 12 * (number % 4)
        logits[number, top + 1 : top + 10, left + 1 : left + 10] = 5.0
    return Detections(
        torch.full((count,), 0.9), torch.rand(count, 4), logits, [number % phrases for number in range(count)]
    )


@pytest.fixture(scope="module")
def model() -> Sam3VideoModel:
    return concepts.tiny_model(hotstart_delay=0, new_det_thresh=1, recondition_every_nth_frame=0)


def concept_waits(model: Sam3VideoModel, count: int, *names: str, state: str = "cpu") -> tuple[Counter, Counter]:
    """Waits of a frame on which objects are born, and of the next one."""
    session = concepts.open_session(inference_state_device=state)
    for name in names or ("beta",):
        session.add_phrase(concepts.phrase(name))
    model._scene(session, 0), model._scene(session, 1)
    for each in session.phrases.values():
        each.features = model.detector_model.get_text_features(each.input_ids, each.attention_mask, return_dict=True)
    born = waits_of(lambda: process_frame(model._scene(session, 0), blocks(count, len(session.phrases))))
    assert len(session.obj_ids) == count
    followed = waits_of(lambda: model(session, frame_idx=1))
    assert len(session.obj_ids) == count
    return born, followed


def test_a_frame_of_phrases_waits_as_often_for_many_objects(model: Sam3VideoModel) -> None:
    (born, followed), (many_born, many_followed) = concept_waits(model, 1), concept_waits(model, 8)
    assert many_born == born
    assert many_followed == followed
    # The detector is not asked here, and nothing was followed before: of the other waits, one is left.
    assert born.total() == 1 + BORN, born
    assert followed.total() == CONCEPTS, followed


def test_a_frame_waits_as_often_for_several_phrases(model: Sam3VideoModel) -> None:
    waits = [concept_waits(model, 3, *names) for names in (("beta",), ("beta", "gamma", "alpha"))]
    assert waits[0] == waits[1]


def test_results_that_are_kept_elsewhere_are_brought_there_at_once(model: Sam3VideoModel) -> None:
    waits = [concept_waits(model, count, state="meta")[1] for count in (1, 8)]
    assert waits[0] == waits[1]
    assert waits[0].total() == CONCEPTS + RESULTS_ELSEWHERE, waits[0]


def object_waits(count: int, state: str | None = None) -> Counter:
    """Waits of a frame on which objects are found again."""
    model, session = objects.shared_tracker(), objects.session()
    points: Any = [[[[8.0 + 10 * number, 30.0]] for number in range(count)]]
    objects.processor().add_inputs_to_inference_session(session, 0, list(range(count)), input_points=points)
    model(session, frame_idx=0)
    model._open(session, 1, None)
    session.inference_state_device = torch.device(state or "cpu")
    return waits_of(lambda: model(session, frame_idx=1))


def test_a_frame_of_objects_that_were_shown_waits_once() -> None:
    assert object_waits(1) == object_waits(8)
    assert object_waits(1).total() == OBJECTS, object_waits(1)


def test_memories_that_are_kept_elsewhere_are_brought_there_at_once() -> None:
    waits = [object_waits(count, "meta") for count in (1, 8)]
    assert waits[0] == waits[1]
    assert waits[0].total() == OBJECTS + MEMORIES_ELSEWHERE, waits[0]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (lambda x: x.sum().item(), 1),
        (lambda x: bool(x.any()), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: x[[0, 1]], 1),
        (lambda x: x.tolist(), 1),
        (lambda x: torch.tensor([1], device=x.device), 1),
        (lambda x: x.repeat_interleave(torch.tensor([1, 2, 1])), 1),
        (lambda x: x.to("meta"), 1),
        (lambda x: x.to("meta", non_blocking=True), 0),
        (lambda x: x[1:] + x.sum() + x[torch.tensor([0])], 0),
    ],
)
def test_what_counts_as_a_wait(action: Any, expected: int) -> None:
    values: Tensor = torch.arange(3.0)
    assert waits_of(lambda: action(values)).total() == expected
