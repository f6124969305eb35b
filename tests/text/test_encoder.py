import pytest
import torch
from tests.support import golden

from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.text.encoder import columns_read

IDS = torch.tensor([[60, 5, 6, 61, 0, 0, 0, 0], [60, 7, 61, 0, 0, 0, 0, 0]])


@pytest.fixture
def model() -> Sam3Model:
    return golden.tiny_model()


def test_the_longest_text_says_how_many_columns_are_read() -> None:
    assert columns_read(IDS.ne(0)) == 4
    assert columns_read(IDS[1:].ne(0)) == 3
    assert columns_read(torch.zeros(2, 8, dtype=torch.bool)) == 1
    assert columns_read(torch.tensor([[False, False, True]])) == 3


def test_columns_after_the_longest_text_change_no_real_token(model: Sam3Model) -> None:
    with torch.no_grad():
        whole, trimmed = (model.text_encoder(IDS, length) for length in (8, 4))
    torch.testing.assert_close(trimmed[:, :4], whole[:, :4])
    assert trimmed.shape == whole.shape
    assert not trimmed[:, 4:].any()


def test_features_are_zero_at_padding_and_the_same_with_hidden_states(model: Sam3Model) -> None:
    with torch.no_grad():
        plain, recorded = (model.get_text_features(IDS, output_hidden_states=states) for states in (False, True))
    assert recorded.hidden_states[0].shape[1] == 8
    for name in ("last_hidden_state", "pooler_output"):
        assert not getattr(plain, name)[IDS.eq(0)].any()
        torch.testing.assert_close(getattr(plain, name), getattr(recorded, name))
