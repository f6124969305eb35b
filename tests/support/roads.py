"""Which road attention in bfloat16 takes on a CPU."""

import pytest

from sam3_hf.ops import tiled_attention


def watch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by "product" for each tile whose softmax is part of the product, and by "float32" for each other tile."""
    roads: list[str] = []

    def note(name: str, road: str) -> None:
        function = getattr(tiled_attention, name)
        monkeypatch.setattr(tiled_attention, name, lambda *given: (roads.append(road), function(*given))[1])

    note("shifted_average", "product")
    note("_average", "float32")
    return roads
