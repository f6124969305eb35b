import pytest
import torch
from torch import nn

from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.quantization import Int8Linear, compare, quantize
from tests.support import golden

# Without these, `quantize` refuses, as it says.
pytestmark = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="this processor has no VNNI instructions")


@pytest.fixture
def model() -> Sam3Model:
    return golden.tiny_model().eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_in_eight_bits_is_within_two_percent(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Linear(256, 64).to(dtype), torch.randn(2, 30, 256).to(dtype)
    with torch.inference_mode():
        exact, output = layer(inputs), Int8Linear(layer)(inputs)
    assert output.dtype == dtype
    assert (output - exact).norm() / exact.norm() < 0.02


def test_a_large_token_does_not_blind_the_others() -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Linear(256, 64), torch.randn(4, 256)
    inputs[0] *= 1000
    with torch.inference_mode():
        exact, output = layer(inputs), Int8Linear(layer)(inputs)
    assert ((output - exact).norm(dim=1) / exact.norm(dim=1)).max() < 0.02


def test_a_quantized_model_finds_nearly_the_same(model: Sam3Model) -> None:
    case = golden.case("text_box_pos_neg")
    with torch.inference_mode():
        exact = model(**case.inputs)
        threshold = (exact.pred_logits.sigmoid() * exact.presence_logits.sigmoid()).median().item()
        quantized = quantize(model)(**case.inputs)
    assert not quantized.pred_masks.equal(exact.pred_masks)
    agreement = compare(exact, quantized, threshold)
    assert agreement.objects > 0
    assert agreement.mask_iou > 0.9
    assert agreement.score_difference < 0.05


def test_what_is_compared_with_itself_agrees_wholly(model: Sam3Model) -> None:
    with torch.inference_mode():
        outputs = model(**golden.case("text_box_pos_neg").inputs)
    assert compare(outputs, outputs, 0.0)[1:] == (1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="lower threshold"):
        compare(outputs, outputs, 1.0)


def test_a_quantized_model_can_neither_be_saved_nor_moved_nor_quantized_again(model: Sam3Model) -> None:
    quantize(model)
    with pytest.raises(ValueError, match="cannot be saved"):
        model.state_dict()
    with pytest.raises(ValueError, match="before quantizing"):
        model.to(torch.bfloat16)
    with pytest.raises(ValueError, match="already"):
        quantize(model)


def test_a_processor_without_the_instructions_is_refused(model: Sam3Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    with pytest.raises(ValueError, match="VNNI"):
        quantize(model)


def test_a_model_in_training_is_not_quantized(model: Sam3Model) -> None:
    with pytest.raises(ValueError, match="eval"):
        quantize(model.train())
