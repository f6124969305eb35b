import pytest
import torch
from tests.support.tracking import moving_squares, small_tracker, tracker_processor
from tests.support.training import squares

from sam3_hf.datasets.examples import ImageExample
from sam3_hf.ops.masks import resize_logits
from sam3_hf.tracker.video_tracker import TrackedFrame
from sam3_hf.training.tracking import TrackerLearner
from sam3_hf.training.tracking_measures import MeasureTracking, click_scores, following_score


def answering(tracker, masks, wrong_until: int):
    """The tracker says what is right from so many clicks on; `heard` gets every hint."""
    heard = []

    def answer(image, hint):
        heard.append(hint)
        right = hint.clicks.labels.shape[1] >= wrong_until
        logits = resize_logits(masks.float() * 20 - 10, (512, 512)).unsqueeze(1)
        said = logits if right else torch.full_like(logits, -10.0)
        return TrackedFrame(said, torch.ones(len(masks), 1), torch.zeros(len(masks), 1), torch.ones(len(masks)))

    tracker.prompt_with_clicks = answer
    return heard


@torch.no_grad()
def test_objects_are_clicked_until_they_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, stills = small_tracker().eval(), squares(1)
    truth = torch.from_numpy(stills[0].prompts[0].masks)
    heard = answering(tracker, truth, wrong_until=3)
    scores = click_scores(tracker, tracker_processor(), stills)
    assert scores == {
        "iou_1": 0,
        "iou_3": pytest.approx(1, abs=0.02),
        "iou_5": pytest.approx(1, abs=0.02),
        "iou_box": 0,
    }
    assert [hint.clicks.labels.shape[1] for hint in heard] == [2, 1, 2, 3, 4, 5]
    assert (heard[3].clicks.labels == 1).all()
    assert heard[1].previous is None
    assert heard[2].previous is not None


@torch.no_grad()
@pytest.mark.parametrize("prompt", ["mask", "click"])
def test_clips_are_followed_through_a_session(prompt: str) -> None:
    score = following_score(small_tracker().eval(), tracker_processor(), moving_squares(1), prompt)
    assert 0 <= score <= 1


@torch.no_grad()
def test_a_tracker_that_repeats_what_it_was_shown_gets_full_marks_for_what_does_not_move() -> None:
    clips, tracker = moving_squares(1), small_tracker().eval()
    still = clips[0].masks
    still[:] = still[:1]
    shown = {}

    def repeat(image, banks, visit, hint=None, scores=None):
        masks = torch.cat([bank.conditioning[0].masks for bank in banks])
        shown[visit.frame_index] = len(masks)
        return TrackedFrame(masks, torch.ones(len(masks), 1), torch.zeros(len(masks), 16), torch.ones(len(masks)))

    tracker.step = repeat
    assert following_score(tracker, tracker_processor(), clips) > 0.9
    assert shown == {1: 2, 2: 2}


def test_measuring_leaves_the_mode_of_the_model() -> None:
    learner = TrackerLearner(small_tracker()).train()
    scores = MeasureTracking(tracker_processor())(learner, squares(1))
    assert scores.keys() == {"iou_1", "iou_3", "iou_5", "iou_box"}
    assert learner.tracker.mask_decoder.training


def test_nothing_to_measure_is_refused() -> None:
    tracker, processor, empty = small_tracker(), tracker_processor(), squares(1)[0]
    empty = ImageExample(empty.image, empty.prompts[1:])
    with pytest.raises(ValueError, match="no object with a mask"):
        click_scores(tracker, processor, [empty])
    with pytest.raises(ValueError, match="Numbers of clicks"):
        click_scores(tracker, processor, squares(1), clicks=(0,))
    with pytest.raises(ValueError, match="mask or click; got 'box'"):
        following_score(tracker, processor, moving_squares(1), "box")
    with pytest.raises(ValueError, match="No clip shows an object"):
        following_score(tracker, processor, [])
