import torch

from sam3_hf.tracker.rows import per_object


def test_objects_of_an_image_are_neighbours() -> None:
    images = torch.tensor([[1.0], [2.0]])
    assert per_object(images, 6).flatten().tolist() == [1, 1, 1, 2, 2, 2]


def test_a_single_image_is_shared_not_copied() -> None:
    image = torch.randn(1, 5, 3)
    assert per_object(image, 64).untyped_storage().data_ptr() == image.untyped_storage().data_ptr()
