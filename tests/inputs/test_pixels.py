import pytest
import torch

from sam3_hf.inputs.pixels import Preprocessing

BYTES = torch.randint(0, 256, (3, 20, 31), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_without_any_step_pixels_stay_as_they_are():
    untouched = Preprocessing(do_resize=False, do_rescale=False, do_normalize=False)
    assert torch.equal(untouched.pixel_values(BYTES), BYTES.float())


def test_each_step_does_one_thing():
    rescaled = Preprocessing(do_resize=False, do_normalize=False).pixel_values(BYTES)
    torch.testing.assert_close(rescaled, BYTES / 255)
    normalized = Preprocessing(do_resize=False, image_mean=[0, 0.5, 1], image_std=2.0).pixel_values(BYTES)
    torch.testing.assert_close(normalized, (BYTES / 255 - torch.tensor([0, 0.5, 1])[:, None, None]) / 2)


def test_fractions_and_bytes_give_the_same_pixels_without_resize():
    fractions = Preprocessing(do_resize=False, do_rescale=False).pixel_values(BYTES / 255)
    torch.testing.assert_close(fractions, Preprocessing(do_resize=False).pixel_values(BYTES))


@pytest.mark.parametrize("resample", [0, 2, 3])
def test_resize_does_not_keep_the_aspect_ratio(resample):
    assert Preprocessing(size=(7, 40), resample=resample).pixel_values(BYTES).shape == (3, 7, 40)


def test_labels_keep_values_that_a_float_cannot_hold():
    labels = torch.tensor([[2**40 + 1, 0], [7, 2**24 + 1]])
    resized = Preprocessing(mask_size=4).labels(labels)
    assert torch.equal(resized, labels.repeat_interleave(2, 0).repeat_interleave(2, 1))


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([0.2, 0.9], {}, "do_rescale=False for values in 0..1"),
        ([0, 256], {}, "do_rescale=True expects"),
        ([-1, 5], {}, "do_rescale=True expects"),
        ([0, 1.5], {"do_rescale": False}, "do_rescale=False expects"),
        ([0, float("nan")], {}, "NaN"),
        ([0, float("inf")], {"do_rescale": False, "do_normalize": False}, "NaN or infinite"),
    ],
)
def test_values_that_do_not_fit_the_rescaling_are_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**options).pixel_values(torch.tensor(values)[:, None].expand(3, 2, 5).float())


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.0, 255.0], [0.0, 1.5]])
def test_black_and_bright_float_images_are_read_as_bytes(values):
    assert Preprocessing(size=4).pixel_values(torch.tensor(values)[:, None].expand(3, 2, 5)).isfinite().all()


@pytest.mark.parametrize(
    "options",
    [
        {"resample": 1},
        {"size": 0},
        {"mask_size": "x"},
        {"image_mean": [1, 2]},
        {"image_std": "a"},
        {"image_std": [0, 1, 1]},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Preprocessing(**options)
