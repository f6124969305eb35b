"""Memory for few maps changes no number, and only where nothing learns."""

from typing import Any

import pytest
import torch

from sam3_hf.configuration_sam3 import Sam3MaskDecoderConfig
from sam3_hf.detector import pixel_bands
from sam3_hf.detector.mask_decoder import MaskDecoder
from sam3_hf.ops.tokens import PaddedTokens

CONFIG: dict[str, Any] = {"hidden_size": 32, "num_attention_heads": 4}


def inputs(rows: int, side: int) -> tuple[Any, ...]:
    """Queries, levels, memory and prompt of images of so many patches, and which is whose."""
    torch.manual_seed(1)
    levels = tuple(torch.randn(rows, 32, side * scale, side * scale) for scale in (4, 2, 1))
    prompt = PaddedTokens(torch.randn(rows, 5, 32), torch.arange(5).expand(rows, 5) < 3)
    return torch.randn(rows, 7, 32), levels, torch.randn(rows, side * side, 32), prompt, torch.arange(rows)


@pytest.fixture
def decoder() -> MaskDecoder:
    torch.manual_seed(0)
    made = MaskDecoder(Sam3MaskDecoderConfig(**CONFIG)).eval()
    for norm in made.pixel_decoder.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    return made


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("side", [1, 2, 5, 12])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_bands_give_the_numbers_of_whole_maps(decoder: MaskDecoder, rows: int, side: int, layout: Any) -> None:
    queries, levels, memory, prompt, index = inputs(rows, side)
    levels = tuple(level.contiguous(memory_format=layout) for level in levels)
    kept = [level.clone() for level in levels]
    whole = decoder(queries, levels, memory, prompt, index)
    with torch.inference_mode():
        banded = decoder(queries, levels, memory, prompt, index)
    torch.testing.assert_close(banded.instances, whole.instances, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(banded.semantic, whole.semantic, atol=2e-5, rtol=1e-5)
    assert all(level.equal(before) for level, before in zip(levels, kept, strict=True))


def test_layers_in_their_place_are_called(decoder: MaskDecoder) -> None:
    """Adapters, hooks and quantized layers stand where layers stood."""
    called = []
    for name, layer in decoder.named_modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.GroupNorm):
            layer.register_forward_hook(lambda *_, name=name: called.append(name))
    with torch.inference_mode():
        decoder(*inputs(1, 4))
    assert set(called) == {
        "pixel_decoder.conv_layers.0",
        "pixel_decoder.conv_layers.1",
        "pixel_decoder.norms.0",
        "pixel_decoder.norms.1",
        "instance_projection",
        "semantic_projection",
    }


def test_a_level_that_is_not_a_multiple_is_computed_whole(decoder: MaskDecoder) -> None:
    with torch.inference_mode():
        assert not pixel_bands.fits(torch.zeros(1, 32, 4, 4), torch.zeros(1, 32, 6, 6))
        queries, levels, memory, prompt, index = inputs(1, 4)
        odd = (torch.randn(1, 32, 14, 14), *levels[1:])
        assert decoder(queries, odd, memory, prompt, index).instances.shape == (1, 7, 14, 14)


def test_a_row_reads_the_levels_of_its_image(decoder: MaskDecoder) -> None:
    queries, levels, memory, prompt, _ = inputs(3, 4)
    index = torch.tensor([1, 0, 1])
    for run in (torch.enable_grad, torch.no_grad):
        with run():
            shared = decoder(queries, tuple(level[:2] for level in levels), memory, prompt, index)
            own = decoder(queries, tuple(level[index] for level in levels), memory, prompt, torch.arange(3))
        torch.testing.assert_close(shared.instances, own.instances)
        torch.testing.assert_close(shared.semantic, own.semantic)
