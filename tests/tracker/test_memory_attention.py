from dataclasses import replace
from unittest import mock

import pytest
import torch
from tests.support import video_golden as recorded
from tests.support.memories import frame_memory
from tests.support.processors import needs_bfloat16
from tests.support.roads import watch
from tests.support.tolerances import SAME_MODEL

from sam3_hf.tracker import memory_attention as module
from sam3_hf.tracker import rows
from sam3_hf.tracker.memory_attention import MemoryTokens
from sam3_hf.video.memory_selection import Recalled


def tokens(frames: int, pointers: int) -> MemoryTokens:
    cells, pieces = torch.randn(2, 2, frames * 144, 16).unbind(), torch.randn(2, 2, pointers, 16).unbind()
    return MemoryTokens(*cells, *pieces, None)


def test_padding_among_memories_changes_nothing() -> None:
    attention, image, positions = (
        recorded.shared_tracker().memory_attention,
        torch.randn(1, 144, 32),
        torch.zeros(1, 144, 32),
    )
    full = tokens(3, 4)
    real = torch.cat([torch.arange(3 * 144) < 144, torch.arange(4) < 2]).expand(2, -1)
    short = MemoryTokens(
        full.cells[:, :144], full.cell_positions[:, :144], full.pointers[:, :2], full.pointer_positions[:, :2], None
    )
    with torch.no_grad():
        found = attention(image, positions, full._replace(valid=real), 12)
        torch.testing.assert_close(found, attention(image, positions, short, 12), **SAME_MODEL)


def test_the_order_of_remembered_frames_does_not_matter() -> None:
    attention, image, positions = (
        recorded.shared_tracker().memory_attention,
        torch.randn(1, 144, 32),
        torch.zeros(1, 144, 32),
    )
    memory = tokens(2, 0)

    def swapped(part: torch.Tensor) -> torch.Tensor:
        return torch.cat([part[:, 144:], part[:, :144]], 1)

    other = memory._replace(cells=swapped(memory.cells), cell_positions=swapped(memory.cell_positions))
    with torch.no_grad():
        found, expected = (attention(image, positions, each, 12) for each in (other, memory))
        torch.testing.assert_close(found, expected, **SAME_MODEL)
        assert not torch.allclose(found[0], found[1])


def test_narrow_values_are_widened_after_they_were_averaged() -> None:
    attention = recorded.tracker().memory_attention
    memory = MemoryTokens(*(torch.randn(2, length, 16) for length in (392, 392, 4, 4)), None)
    image, positions = torch.randn(1, 196, 32), torch.randn(1, 196, 32)
    found = {}
    for backend in ("tiled", "sdpa"):
        attention.config._attn_implementation = backend
        with (
            torch.no_grad(),
            mock.patch.object(module, "takes_narrow_values", wraps=module.takes_narrow_values) as asked,
        ):
            found[backend] = attention(image, positions, memory, 14)
        assert asked.called == (backend == "tiled")
    torch.testing.assert_close(found["tiled"], found["sdpa"], **SAME_MODEL)


@needs_bfloat16
@torch.no_grad()
def test_memories_in_half_precision_are_weighed_inside_their_product(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = recorded.tracker().memory_attention
    torch.manual_seed(0)
    memory = [torch.randn(2, length, 16) for length in (392, 392, 4, 4)]
    image, positions = torch.randn(1, 196, 32), torch.randn(1, 196, 32)
    exact = attention(image, positions, MemoryTokens(*memory, None), 14)
    half = [part.bfloat16() for part in (image, positions, *memory)]
    roads, errors = watch(monkeypatch), {}
    attention = attention.bfloat16()
    for backend in ("sdpa", "tiled"):
        attention.config._attn_implementation = backend
        errors[backend] = (attention(*half[:2], MemoryTokens(*half[2:], None), 14) - exact).abs().mean()
    # Every object's memories in every layer, and the image by itself: in the first layer once for both objects.
    assert roads == ["product"] * (2 * len(attention.layers) + 1 + 2 * (len(attention.layers) - 1))
    assert errors["tiled"] <= 1.05 * errors["sdpa"]


def test_objects_in_groups_recall_what_they_recall_together(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, patches = recorded.tracker(), torch.randn(1, 32, 12, 12)

    def recalled(frames: int) -> Recalled:
        memories = [replace(frame_memory(2), features=torch.randn(2, 16, 12, 12)) for _ in range(frames)]
        pointing = [replace(memory, pointers=torch.randn(2, 32)) for memory in memories]
        return Recalled(memories, list(range(frames)), pointing, list(range(frames)), 15)

    objects = [recalled(frames) for frames in (1, 3, 2)]
    with torch.no_grad():
        together = tracker.remind(patches, objects)
        monkeypatch.setattr(rows, "_AT_ONCE", 1)
        torch.testing.assert_close(tracker.remind(patches, objects), together, **SAME_MODEL)
