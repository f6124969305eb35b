import torch
from tests.support import golden

from sam3_hf.detector.keyhole import Pixels, keyhole
from sam3_hf.ops.tokens import PaddedTokens


def test_the_mask_decoder_sees_what_the_first_token_shows() -> None:
    decoder = golden.tiny_model().mask_decoder
    width = decoder.config.hidden_size
    levels = tuple(torch.randn(2, width, side, side) for side in (24, 12, 6))
    prompt = PaddedTokens(torch.randn(2, 5, width), torch.ones(2, 5, dtype=torch.bool))
    sight = keyhole(torch.randn(2, 7, width), Pixels(levels, torch.randn(2, 36, width), prompt, torch.tensor([1, 0])))
    assert sight.queries.shape == (1, 1, width)
    assert [level.shape[2:] for level in sight.levels] == [(4, 4), (2, 2), (1, 1)]
    masks = decoder(*sight)
    assert masks.instances.shape == masks.semantic.shape == (1, 1, 4, 4)
    (masks.instances.sum() + masks.semantic.sum()).backward()
    stages = len(levels) - 1
    unused = tuple(f"pixel_decoder.{part}.{stage}." for part in ("conv_layers", "norms") for stage in range(stages, 9))
    for name, parameter in decoder.named_parameters():
        assert (parameter.grad is None) == name.startswith(unused), name
