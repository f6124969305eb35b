"""Results as tables: on the console, in Markdown (which look the same), and as JSON."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sam3_hf.benchmarking.timing import Timing

TIMING_COLUMNS = ("median s", "quartiles s", "peak above start", "peak of process")


class Table(NamedTuple):
    """Rows of cells under the names of columns; `details` holds the same, and more, as numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    details: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dictionaries only."""
        return {"title": self.title, "rows": self.details}


def timing_cells(timing: Timing) -> tuple[str, ...]:
    """A timing under `TIMING_COLUMNS`."""
    low, high = timing.quartiles
    peak = timing.peak
    above = bytes_cell(peak.above_start) if peak.device is None else f"{bytes_cell(peak.device)} CUDA"
    return number(timing.median), f"{number(low)} to {number(high)}", above, bytes_cell(peak.resident)


def number(value: float | None) -> str:
    """Three significant digits, never in powers of ten."""
    if value is None:
        return ""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    digits = max(0, 2 - len(str(int(abs(value)))) + (1 if abs(value) >= 1 else 2))
    return f"{value:.{min(digits, 6) if abs(value) >= 0.01 else 5}f}"


def bytes_cell(count: int | None) -> str:
    """Megabytes or gigabytes of 10^6 and 10^9 bytes."""
    if count is None:
        return ""
    return f"{count / 1e9:.2f} GB" if abs(count) >= 1e9 else f"{count / 1e6:.0f} MB"


def show(tables: Sequence[Table], machine: str) -> None:
    """Print all tables to stdout, wide enough that no cell is broken."""
    console = Console(highlight=False, width=240)
    console.print(Text(machine), soft_wrap=True)
    for table in tables:
        console.print(Text(f"\n{table.title}"), soft_wrap=True)
        console.print(_drawn(table))


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(box=box.MARKDOWN)
    for place, column in enumerate(table.columns):
        is_number = bool(table.rows) and table.rows[0][place][:1].isdigit()
        drawn.add_column(column, justify="right" if is_number else "left")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn
