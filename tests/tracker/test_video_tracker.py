import pytest
import torch
from tests.support import video_golden as recorded
from tests.support.tolerances import SAME_MASKS, SAME_MODEL

from sam3_hf.tracker.mask_decoder import ImageLevels
from sam3_hf.tracker.prompts import Clicks
from sam3_hf.tracker.video_tracker import Hint, TrackedFrame, held, remembered
from sam3_hf.video.memory_selection import Visit
from sam3_hf.video.state import MemoryBank


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def image() -> ImageLevels:
    with torch.no_grad():
        model = recorded.shared_tracker()
        return model.see(model.vision_encoder(recorded.pixel_values()[:1]).fpn_hidden_states)


def clicks(*places: tuple[float, float]) -> Clicks:
    return Clicks(torch.tensor(places)[:, None], torch.ones(len(places), 1, dtype=torch.long))


def test_an_empty_mask_is_no_object(image: ImageLevels) -> None:
    model, masks = recorded.shared_tracker(), torch.zeros(2, 1, 72, 96, dtype=torch.bool)
    masks[1, :, 20:50, 30:60] = True
    seen = model.prompt_with_mask(image, masks)
    assert seen.object_score_logits.tolist() == [[-10], [10]]
    assert torch.equal(seen.pointers[0], model.no_object_pointer[0])
    assert not torch.equal(seen.pointers[1], model.no_object_pointer[0])
    assert (seen.masks[0] == -1024).all()
    assert seen.masks[1].max() == 1024


def test_what_is_shown_may_differ_from_the_mask(image: ImageLevels) -> None:
    masks = torch.rand(1, 1, 192, 192)
    shown = torch.zeros(1, 1, 72, 96, dtype=torch.bool)
    assert (recorded.shared_tracker().prompt_with_mask(image, masks, shown).masks == -1024).all()


def test_objects_of_a_batch_do_not_know_of_each_other(image: ImageLevels) -> None:
    model = recorded.shared_tracker()
    both = model.prompt_with_clicks(image, Hint(clicks((34.0, 55.0), (121.0, 104.0))))
    second = model.prompt_with_clicks(image, Hint(clicks((121.0, 104.0))))
    torch.testing.assert_close(both.rows([1]).masks, second.masks, **SAME_MASKS)
    joined = TrackedFrame.join([both.rows([0]), both.rows([1])])
    assert all(torch.equal(mine, other) for mine, other in zip(joined, both, strict=True))


def test_masks_are_sharp_where_they_are_told_to_be(image: ImageLevels) -> None:
    model, masks, scores = recorded.shared_tracker(), torch.randn(2, 1, 48, 48), torch.tensor([[1.0], [-1.0]])
    mixed = model.memorize(image, masks, scores, binary=torch.tensor([True, False]))
    sharp, soft = (model.memorize(image, masks, scores, binary=binary) for binary in (True, False))
    torch.testing.assert_close(mixed, torch.stack([sharp[0], soft[1]]), **SAME_MODEL)
    assert not torch.allclose(sharp[1], soft[1], atol=1e-3)


def test_masks_of_many_objects_are_enlarged_a_few_at_a_time(image: ImageLevels) -> None:
    model, masks, scores = recorded.shared_tracker(), torch.randn(18, 1, 48, 48), torch.ones(18, 1)
    found = model.memorize(image, masks, scores)
    torch.testing.assert_close(found[17:], model.memorize(image, masks[17:], scores[17:]), **SAME_MODEL)


def test_a_bank_that_remembers_nothing_is_refused(image: ImageLevels) -> None:
    model, bank = recorded.shared_tracker(), MemoryBank()
    seen = model.prompt_with_clicks(image, Hint(clicks((34.0, 55.0))))
    features = model.memorize(image, seen.masks, seen.object_score_logits)
    bank.remember(0, *remembered(seen, features, [1]), conditioning=True)
    with pytest.raises(ValueError, match=r"Banks \[1\] remember nothing that frame 3 could look at"):
        model.step(image, [bank, MemoryBank()], Visit(3))


def test_every_bank_gets_memory_of_its_own() -> None:
    seen = TrackedFrame(torch.randn(3, 1, 4, 4), torch.randn(3, 1), torch.randn(3, 8), torch.rand(3))
    features = torch.randn(3, 2, 3, 3)
    first, second = remembered(seen, features, [2, 1])
    assert (len(first.pointers), len(second.pointers)) == (2, 1)
    assert first.features.dtype == torch.bfloat16
    assert second.presence == (float(seen.object_score_logits[2]),)
    for part in second.tensors().values():
        assert part.untyped_storage().nbytes() == part.nbytes


def test_earlier_answers_are_held_within_bounds() -> None:
    assert held(torch.tensor([[[[-1024.0, 3.0, 40.0]]]])).flatten().tolist() == [-32, 3, 32]
