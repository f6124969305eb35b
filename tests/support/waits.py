"""What makes the host wait for a device, counted on the CPU, where nothing waits."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_READS = {"_local_scalar_dense", "nonzero", "equal", "masked_select", "unique_dim", "_unique2"}
_CALLS = {Tensor.tolist: "tolist", Tensor.cpu: "cpu", Tensor.new_tensor: "new_tensor"}
_MAKERS = {torch.tensor: "tensor", torch.as_tensor: "as_tensor"}
_INDEXING = {Tensor.__getitem__, Tensor.__setitem__}


class _Calls(TorchFunctionMode):
    """Calls from Python: values as lists, tensors made on a device of numbers, indexing with lists."""

    def __init__(self, seen: Counter) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _CALLS:
            self.seen[_CALLS[func]] += 1
        elif func in _MAKERS and kwargs.get("device") is not None:
            self.seen[_MAKERS[func]] += 1
        elif func in _INDEXING:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            self.seen["list as index"] += any(isinstance(each, (list, range)) for each in index)
        return func(*args, **kwargs)


class _Operations(TorchDispatchMode):
    """Operations whose result has a size that depends on values, values as numbers, and copies between devices."""

    def __init__(self, seen: Counter) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # In inference mode, what is made of other operations arrives in one piece.
        with self:
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        name = func.overloadpacket.__name__
        if name in _READS or (name == "repeat_interleave" and kwargs.get("output_size") is None):
            self.seen[name] += 1
        elif name in {"index", "index_put", "index_put_"}:
            self.seen["mask as index"] += any(each is not None and each.dtype == torch.bool for each in args[1])
        elif name == "_to_copy" and kwargs.get("device") not in (None, args[0].device):
            self.seen["copy"] += not kwargs.get("non_blocking")
        return func(*args, **kwargs)


@contextmanager
def counted_waits() -> Iterator[Counter]:
    """Every wait of the block, by what it is for; copies count where devices differ."""
    seen: Counter = Counter()
    with _Calls(seen), _Operations(seen):
        yield seen


def waits_of(action: Callable[[], Any]) -> Counter:
    """The waits of one action."""
    with counted_waits() as seen:
        action()
    return +seen
