"""float16 on processors that cannot multiply it: numbers of `float16`, products as a GPU computes them.

float16 factors -> float32 product -> float16
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

_aten = torch.ops.aten
# All that a GPU accumulates in float32. Some are made of others, and are seen whole where no gradients are recorded.
_PRODUCTS = {
    _aten.linear,
    _aten.matmul,
    _aten.mm,
    _aten.bmm,
    _aten.addmm,
    _aten.baddbmm,
    _aten.conv2d,
    _aten.conv_transpose2d,
    _aten.convolution,
    _aten.scaled_dot_product_attention,
    _aten._scaled_dot_product_flash_attention_for_cpu,
}


class HalfProducts(TorchDispatchMode):
    """Inside a `with` block, products of float16 are summed up in float32 and rounded once.

    PyTorch computes them so slowly on a CPU without instructions for float16 that large models cannot be tried. Weights
    of an attention are not rounded on the way, as some GPU kernels do.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation; one that multiplies float16 numbers gets them in float32."""
        given = (args, kwargs or {})
        if func.overloadpacket not in _PRODUCTS or not any(map(_is_half, tree_leaves(given))):
            return func(*given[0], **given[1])
        wide: Any = tree_map(lambda each: each.float() if _is_half(each) else each, given)
        return tree_map_only(Tensor, Tensor.half, func(*wide[0], **wide[1]))


def _is_half(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float16
