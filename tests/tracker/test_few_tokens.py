from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from tests.support.tolerances import SAME_MODEL

from sam3_hf.configuration_sam3_tracker import Sam3TrackerMaskDecoderConfig
from sam3_hf.tracker import attention as attention_module
from sam3_hf.tracker.attention import ObjectAttention

TOKENS, CELLS = torch.randn(1, 3, 16), torch.randn(1, 80, 16)
VALID = torch.tensor([True, True, False])[None, None, None]


@pytest.fixture
def attention() -> ObjectAttention:
    torch.manual_seed(0)
    config = Sam3TrackerMaskDecoderConfig(hidden_size=16, num_attention_heads=2)
    config._attn_implementation = "tiled"
    return ObjectAttention(config, 2).eval()


@pytest.fixture
def plainly() -> Iterator[mock.Mock]:
    """Calls of plain attention, in which cells are projected."""
    with mock.patch.object(attention_module, "attend", wraps=attention_module.attend) as calls:
        yield calls


@pytest.mark.parametrize("said", ["tokens", "cells"])
def test_what_is_seen_and_told_equals_plain_attention(
    said: str, attention: ObjectAttention, plainly: mock.Mock
) -> None:
    inputs = (TOKENS, CELLS + 1, CELLS) if said == "tokens" else (CELLS, TOKENS + 1, TOKENS, VALID)
    expected = attention(*inputs).output.detach()
    assert plainly.call_count == 1
    with torch.no_grad():
        found = attention(*inputs).output
    assert plainly.call_count == 1
    torch.testing.assert_close(found, expected, **SAME_MODEL)


def test_an_adapter_is_not_passed_by(attention: ObjectAttention, plainly: mock.Mock) -> None:
    attention.v_proj = torch.nn.Sequential(attention.v_proj)
    with torch.no_grad():
        attention(TOKENS, CELLS, CELLS)
    assert plainly.call_count == 1


def test_many_tokens_another_backend_and_several_objects_take_the_plain_road(
    attention: ObjectAttention, plainly: mock.Mock
) -> None:
    with torch.no_grad():
        attention(torch.randn(1, 9, 16), CELLS, CELLS)
        attention(TOKENS.expand(2, -1, -1), CELLS, CELLS)
        attention.config._attn_implementation = "sdpa"
        attention(TOKENS, CELLS, CELLS)
    assert plainly.call_count == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_cells_of_several_objects_are_told_as_in_plain_attention(
    dtype: torch.dtype, attention: ObjectAttention, plainly: mock.Mock
) -> None:
    cells, tokens = torch.randn(3, 80, 16), torch.randn(3, 4, 16)
    valid = torch.tensor([[True, True, True, True], [True, False, True, True], [True, True, False, False]])
    inputs = [cells, tokens + 1, tokens, valid[:, None, None]]
    expected = attention(*inputs).output.detach()
    assert plainly.call_count == 1
    with torch.no_grad():
        attention.to(dtype)
        found = attention(*(each.to(dtype) for each in inputs[:3]), inputs[3]).output
    assert plainly.call_count == 1
    assert found.dtype == dtype
    tolerance = SAME_MODEL if dtype == torch.float32 else {"atol": 2**-6, "rtol": 2**-6}
    torch.testing.assert_close(found.float(), expected, **tolerance)
