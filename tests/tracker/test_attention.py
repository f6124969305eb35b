import pytest
import torch
from tests.support.tolerances import SAME_MODEL

from sam3_hf.configuration_sam3_tracker import Sam3TrackerMaskDecoderConfig
from sam3_hf.tracker.attention import ObjectAttention


@pytest.fixture(params=["eager", "sdpa"])
def attention(request: pytest.FixtureRequest) -> ObjectAttention:
    config = Sam3TrackerMaskDecoderConfig(hidden_size=16, num_attention_heads=2)
    config._attn_implementation = request.param
    return ObjectAttention(config, 2).eval()


def test_it_runs_in_fewer_channels(attention: ObjectAttention) -> None:
    assert attention.q_proj.weight.shape == (8, 16)
    assert attention.scaling == (8 / 2) ** -0.5


def test_what_images_share_equals_copies_of_it(attention: ObjectAttention) -> None:
    tokens, images = torch.randn(6, 3, 16), torch.randn(2, 9, 16)
    copies = images.repeat_interleave(3, 0)
    shared = attention(tokens, images, images).output
    torch.testing.assert_close(shared, attention(tokens, copies, copies).output, **SAME_MODEL)
    shared = attention(images, tokens, tokens).output
    torch.testing.assert_close(shared, attention(copies, tokens, tokens).output, **SAME_MODEL)


def test_masked_entries_are_not_read(attention: ObjectAttention) -> None:
    query, others = torch.randn(2, 4, 16), torch.randn(2, 5, 16)
    mask = torch.tensor([True, True, True, False, False]).expand(2, 1, 1, 5)
    expected = attention(query, others[:, :3], others[:, :3]).output
    torch.testing.assert_close(attention(query, others, others, mask).output, expected, **SAME_MODEL)
