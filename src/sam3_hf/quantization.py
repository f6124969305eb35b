"""Eight-bit products: the linear layers of the ViT in int8 on a CPU. An option that trades exactness for time.

Sam3Model -> the same model, its ViT's linear layers replaced; `compare` says what that did to its results
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam3_hf.modeling_sam3 import Sam3Model

_AT_ONCE = 256


class Int8Linear(nn.Module):
    """A linear layer in eight bits: weights with a scale per output, inputs with a scale per token, found as they come.

    Args:
        linear: The layer to replace, on a CPU.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        self.scales = _steps(weight)
        self.zeros = torch.zeros(len(weight), dtype=torch.long)
        whole = (weight / self.scales.unsqueeze(1)).round().to(torch.int8)
        self.packed = torch.ops.onednn.qlinear_prepack(whole, None)
        self.bias = torch.zeros(self.out_features) if linear.bias is None else linear.bias.detach().float()

    def forward(self, input: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        """Multiply in int8, add in float32; some tokens at a time, which stay in the processor's cache."""
        parts = [self._multiply(part.float()).to(input.dtype) for part in input.flatten(0, -2).split(_AT_ONCE)]
        return torch.cat(parts).unflatten(0, input.shape[:-1])

    def _multiply(self, tokens: Float[Tensor, "N D"]) -> Float[Tensor, "N E"]:
        scales = _steps(tokens).unsqueeze(1)
        # oneDNN is fast with unsigned inputs alone: zero stands at 128.
        whole = (tokens / scales).round_().add_(128).to(torch.uint8)
        weight = (self.packed, self.scales, self.zeros, None)
        output = torch.ops.onednn.qlinear_pointwise(whole, 1.0, 128, *weight, 1.0, 0, torch.float32, "none", [], "")
        return output.mul_(scales).add_(self.bias)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(
            "A quantized model cannot be saved: save the model it was made from, and quantize after loading."
        )

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> nn.Module:
        raise ValueError("A quantized model stays on the CPU and in its dtype: move or cast it before quantizing it.")


def _steps(rows: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
    """What a step of one means in each row, so that its largest number becomes 127."""
    return rows.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127


def quantize(model: Sam3Model) -> Sam3Model:
    """Replace the linear layers of the ViT, in place; the rest of the model stays as it is.

    Measure on images of your own with `compare` what it does to the results.

    Args:
        model: A model for inference on a CPU; `float32` gains most.

    Raises:
        ValueError: The model is not on a CPU with eight-bit instructions, trains, or is quantized already.
    """
    layers = model.vision_encoder.backbone.layers
    found = [(parent, name, child) for parent in layers.modules() for name, child in parent.named_children()]
    linears = [(parent, name, child) for parent, name, child in found if isinstance(child, nn.Linear)]
    if not linears:
        raise ValueError("There is no linear layer left to quantize: this model is quantized already.")
    if any(child.weight.device.type != "cpu" for _, _, child in linears):
        raise ValueError(f"Eight-bit products run on a CPU; the model is on {model.device}.")
    # Without these instructions, a processor's sums of two products overflow.
    if not torch.backends.mkldnn.is_available() or not torch.cpu._is_vnni_supported():
        raise ValueError("Eight-bit products need a processor with VNNI instructions and a PyTorch with oneDNN.")
    if model.training:
        raise ValueError("A quantized model cannot train; call model.eval() first.")
    for parent, name, child in linears:
        setattr(parent, name, Int8Linear(child))
    return model


class Agreement(NamedTuple):
    """How much of a result stayed as it was, over the objects that were found before.

    Attributes:
        objects: How many objects those are.
        mask_iou: Mean intersection over union of their masks.
        worst_mask_iou: The least of them.
        score_difference: The largest change of a score, of any query.
    """

    objects: int
    mask_iou: float
    worst_mask_iou: float
    score_difference: float


def compare(expected: Any, actual: Any, threshold: float = 0.5) -> Agreement:
    """What another precision did to the outputs of `Sam3Model` for the same inputs.

    Args:
        expected: Outputs of the exact model.
        actual: Outputs of the other.
        threshold: Objects with a higher score, in 0..1, count as found.

    Raises:
        ValueError: Nothing was found, so there is no mask to compare.
    """
    scores, others = (
        each.pred_logits.float().sigmoid() * each.presence_logits.float().sigmoid() for each in (expected, actual)
    )
    found = scores > threshold
    if not found.any():
        raise ValueError(f"No object has a score above {threshold}: choose other inputs, or a lower threshold.")
    mine, theirs = (each.pred_masks[found].flatten(1) > 0 for each in (expected, actual))
    both, either = (mine & theirs).sum(1), (mine | theirs).sum(1)
    ious = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return Agreement(len(ious), ious.mean().item(), ious.min().item(), (scores - others).abs().max().item())
