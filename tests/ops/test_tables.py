import pytest
import torch
from tests.support.graphs import whole_graphs

from sam3_hf.ops import tables
from sam3_hf.ops.rotary import rotary_table, rotate
from sam3_hf.ops.tables import kept_table


def rows(count: int, like: torch.Tensor) -> torch.Tensor:
    return torch.arange(count, device=like.device).to(like.dtype)


def test_a_table_is_made_once_for_sizes_and_type() -> None:
    made = kept_table(rows)
    first = made(5, torch.zeros(1))
    assert made(5, torch.ones(3)) is first
    assert made(6, torch.zeros(1)) is not first
    half = made(5, torch.zeros(1, dtype=torch.bfloat16))
    assert (half.dtype, first.dtype) == (torch.bfloat16, torch.float32)


def test_few_tables_are_kept_and_no_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MOST", 2)
    monkeypatch.setattr(tables, "_LARGEST", 40)
    made, like = kept_table(rows), torch.zeros(1)
    one, two = made(1, like), made(2, like)
    assert made(1, like) is one  # used again, so the other one goes
    made(3, like)
    assert made(1, like) is one
    assert made(2, like) is not two
    assert made(11, like) is not made(11, like)


def test_a_table_from_inference_serves_training() -> None:
    with torch.inference_mode():
        table = rotary_table(3, 3, 12, 77.0, torch.zeros(1))
    heads = torch.randn(1, 2, 9, 12, requires_grad=True)
    rotate(heads, table).sum().backward()
    assert heads.grad is not None
    assert heads.grad.isfinite().all()


@whole_graphs
def test_a_compiler_makes_its_own() -> None:
    made, calls = kept_table(rows), []

    def use(values: torch.Tensor) -> torch.Tensor:
        calls.append(torch.compiler.is_compiling())
        return values + made(4, values)

    kept = made(4, torch.zeros(1))
    compiled = torch.compile(use, backend="eager", fullgraph=True)
    assert compiled(torch.zeros(4)).equal(kept)
    assert made(4, torch.zeros(1)) is kept
