import pytest
import torch

from sam3_hf.tracker import rows
from sam3_hf.tracker.rows import a_few_at_a_time, in_bands, objects_at_a_time, per_object


def test_objects_of_an_image_are_neighbours() -> None:
    images = torch.tensor([[1.0], [2.0]])
    assert per_object(images, 6).flatten().tolist() == [1, 1, 1, 2, 2, 2]


def test_a_single_image_is_shared_not_copied() -> None:
    image = torch.randn(1, 5, 3)
    assert per_object(image, 64).untyped_storage().data_ptr() == image.untyped_storage().data_ptr()


@pytest.fixture(params=[1, 30, 70], ids=["one by one", "a few", "many"])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """So many numbers are worked on at a time."""
    monkeypatch.setattr(rows, "_AT_ONCE", request.param)
    return request.param


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("images", [1, 2, 6])
def test_objects_meet_their_own_image_however_many_at_a_time(images: int, room: int, times: int) -> None:
    objects, parts, shared = torch.randn(6, 2), torch.randn(images, 10), torch.randn(1, 10)
    counts = []

    def meet(objects: torch.Tensor, parts: torch.Tensor, shared: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        counts.append(len(objects))
        met = per_object(parts, len(objects)) * objects.sum(1, keepdim=True) + shared
        return met, 2 * met

    expected = meet(objects, parts, shared)
    with torch.no_grad():
        found = a_few_at_a_time(meet, (objects,), (parts, shared), times)
    torch.testing.assert_close(found, expected)
    count = max(times * room // 10, 1)
    # All at once if there is room for that; else objects of one image at a time, of which two have three each.
    assert max(counts[1:]) == (6 if count >= 6 else min(count, 3 if images == 2 else 6))


def test_with_gradients_all_objects_go_at_once(room: int) -> None:
    objects = torch.randn(6, 2)
    (found,) = a_few_at_a_time(lambda *parts: (torch.tensor([len(parts[0])]),), (objects,), (torch.randn(1, 10),))
    assert found.tolist() == [6]


def test_bands_of_grids_of_several_sizes_belong_together(room: int) -> None:
    coarse, fine = torch.randn(1, 7, 3), torch.randn(1, 14, 3)
    calls = []

    def join(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        calls.append(coarse.shape[1])
        return coarse.repeat_interleave(2, 1) + fine

    expected = join(coarse, fine)
    with torch.no_grad():
        torch.testing.assert_close(in_bands(join, coarse, fine), expected, rtol=0, atol=0)
    assert len(calls) - 1 == {1: 7, 30: 2, 70: 1}[room]


def test_with_gradients_or_several_images_all_objects_are_worked_on_together(room: int) -> None:
    image = torch.zeros(1, 2, 3, 4)
    assert objects_at_a_time(image) > 1000
    with torch.no_grad():
        assert objects_at_a_time(image) == {1: 1, 30: 1, 70: 2}[room]
        assert objects_at_a_time(image.expand(2, -1, -1, -1)) > 1000
