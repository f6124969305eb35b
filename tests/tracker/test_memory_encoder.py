import torch
from tests.support import video_golden as recorded
from tests.support.tolerances import SAME_MODEL


def test_an_image_is_shared_by_its_objects() -> None:
    encoder, image, masks = (
        recorded.shared_tracker().memory_encoder,
        torch.randn(1, 32, 12, 12),
        torch.randn(3, 1, 192, 192),
    )
    with torch.no_grad():
        found = encoder(image, masks)
        one_by_one = torch.cat([encoder(image, mask[None]) for mask in masks])
    assert found.shape == (3, 16, 12, 12)
    torch.testing.assert_close(found, one_by_one, **SAME_MODEL)


def test_a_mask_becomes_as_wide_as_it_becomes_small() -> None:
    layers = recorded.shared_tracker().memory_encoder.mask_downsampler.layers
    assert [layer.conv.out_channels for layer in layers] == [4, 16, 64, 256]
