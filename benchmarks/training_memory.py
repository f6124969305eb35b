"""Estimate the memory that fine-tuning the released size takes, without a GPU and without the weights.

    python benchmarks/training_memory.py [--images 1] [--prompts 4] [--objects 10]

The model is made on PyTorch's meta device, where tensors have shapes and no values, and runs the forward pass of one
step; every tensor that the backward pass would need is counted, once per storage. What is not seen this way is added:
weights, gradients and AdamW's two moments in float32, bfloat16 copies of the weights (autocast), the masks of matched
objects at the size of the labels, and 1.5 GB for CUDA. Attention counts as it is with fused kernels, which keep inputs
and outputs. Estimates, not measurements: leave a tenth free.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from sam3_hf import Sam3Config, Sam3Model
from sam3_hf.training.adapters import add_lora
from sam3_hf.training.parameters import freeze

GB = 1e9
CUDA = 1.5 * GB
# Float tensors that the mask losses keep per matched object and pixel: logits, probabilities, both losses' factors.
MASK_TENSORS = 6
# Queries per object whose masks are compared: one of the first set, and up to four of the second.
PAIRS = 5
SETUPS = ("head", "detector", "lora", "all")


class Fused(torch.autograd.Function):
    """Attention as fused kernels remember it: inputs, output and one number per query."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """An output of the right shape."""
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        normalizers = query.new_empty(query.shape[:-1], dtype=torch.float32)
        context.save_for_backward(query, key, value, mask, output, normalizers)
        return output

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        """Nothing is ever sent back here."""
        raise NotImplementedError


def fused(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_: Any) -> Tensor:
    """In place of `scaled_dot_product_attention`."""
    return Fused.apply(query, key, value, attn_mask)


class Kept(NamedTuple):
    """Bytes that a backward pass needs: of every layer that can be computed again, of the rest, of layers' inputs."""

    layers: list[int]
    rest: int
    inputs: int

    def total(self, checkpointing: bool) -> int:
        """All of it, or the inputs of layers and the one layer that is computed again."""
        return self.rest + (self.inputs + max(self.layers, default=0) if checkpointing else sum(self.layers))


@contextmanager
def counting(model: nn.Module) -> Iterator[dict[str, Any]]:
    """Count what is kept inside the block."""
    seen: dict[int, Tensor] = {p.untyped_storage()._cdata: p for p in model.parameters()}
    bytes_of: defaultdict[str, int] = defaultdict(int)
    inside: list[str] = []
    found: dict[str, Any] = {"bytes": bytes_of, "inputs": 0}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in seen:
            seen[storage._cdata] = tensor
            bytes_of[inside[-1] if inside else ""] += storage.nbytes()
        return tensor

    def enter(name: str, inputs: tuple[Any, ...]) -> None:
        inside.append(name)
        if torch.is_grad_enabled() and inputs[0].requires_grad:
            found["inputs"] += inputs[0].untyped_storage().nbytes()

    handles = []
    for name, module in model.named_modules():
        if isinstance(module, GradientCheckpointingLayer):
            handles.append(module.register_forward_pre_hook(lambda _, inputs, name=name: enter(name, inputs)))
            handles.append(module.register_forward_hook(lambda *_: inside.pop() and None))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found
    for handle in handles:
        handle.remove()


def kept(model: nn.Module, images: int, prompts: int) -> Kept:
    """What one batch leaves for the backward pass, in bfloat16."""
    side = model.config.vision_config.backbone_config.image_size
    rows = images * prompts
    batch = {
        "pixel_values": torch.empty(images, 3, side, side, dtype=torch.bfloat16, device="meta"),
        "input_ids": torch.empty(rows, 32, dtype=torch.long, device="meta"),
        "attention_mask": torch.empty(rows, 32, dtype=torch.long, device="meta"),
        "image_index": torch.arange(images).repeat_interleave(prompts),
    }
    target = "torch.nn.functional.scaled_dot_product_attention"
    with mock.patch(target, fused), counting(model) as found:
        model(**batch)
    layers = [size for name, size in found["bytes"].items() if name]
    return Kept(layers, found["bytes"][""], found["inputs"])


def prepared(setup: str) -> nn.Module:
    """The model of the released size, without values, with what learns; twice the queries, as while training."""
    config = Sam3Config()
    config.detr_decoder_config.num_queries *= 2
    with torch.device("meta"):
        model = Sam3Model(config).to(torch.bfloat16).train()
        if setup == "lora":
            return add_lora(model, ("vision", "detector"))
    freeze(model, setup)
    return model


def constant(model: nn.Module) -> float:
    """Bytes that do not depend on the batch: weights, and of what learns a copy, gradients and two moments."""
    count = {
        learns: sum(p.numel() for p in model.parameters() if p.requires_grad == learns) for learns in (True, False)
    }
    return 4 * count[False] + (4 + 2 + 4 + 8) * count[True] + CUDA


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=1, help="images per batch")
    parser.add_argument("--prompts", type=int, default=4, help="prompts per image")
    parser.add_argument("--objects", type=int, default=10, help="objects per image")
    args = parser.parse_args()
    masks = {side: args.images * args.objects * PAIRS * side**2 * 4 * MASK_TENSORS for side in (0, 288, 1008)}
    print("| learns | parameters | checkpointing | boxes | masks at 288 | masks at 1008 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for setup in SETUPS:
        model = prepared(setup)
        base: Any = model
        found = kept(base.get_base_model() if setup == "lora" else base, args.images, args.prompts)
        learning = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
        for checkpointing in (False, True):
            sizes = [constant(model) + found.total(checkpointing) + extra for extra in masks.values()]
            cells = " | ".join(f"{size / GB:.1f}" for size in sizes)
            print(f"| `{setup}` | {learning:.0f} M | {'yes' if checkpointing else 'no'} | {cells} |")


if __name__ == "__main__":
    main()
