import torch
from tests.support import video_golden as recorded
from tests.support.tolerances import SAME_MODEL

from sam3_hf.tracker.memory_attention import MemoryTokens


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
