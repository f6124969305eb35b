"""The metrics that papers show, as a table on stdout.

metrics as fractions -> name, value; F1, AP and the parts of HOTA times 100, presence as it is
"""

import math
from typing import Any

from rich.console import Console
from rich.table import Table

_PLAIN = ("IL_MCC", "IL_FPR")
_IMAGES = ("cgF1", "IL_MCC", "pmF1", "cgF1@0.5", "cgF1@0.75", "positive_macro_F1", "IL_F1", "IL_FPR")
_SHOWN = {
    "segm": _IMAGES,
    "bbox": _IMAGES,
    "coco": ("AP", "AP_50", "AP_75", "AP_small", "AP_medium", "AP_large", "AR_maxDets@100"),
    "video": ("cgF1", "IL_MCC", "pmF1", "pHOTA", "pDetA", "pAssA"),
}


def show_scores(scores: dict[str, Any], kind: str, part: str) -> None:
    """Print the table, and which part was scored if not all."""
    table = Table("Metric")
    table.add_column("Value", justify="right")
    for name in _SHOWN[kind]:
        table.add_row(name if name in _PLAIN else f"{name} x 100", _written(name, scores[name]))
    console = Console(highlight=False)
    console.print(table)
    if part:
        console.print(f"Partial: {part}.", soft_wrap=True)


def _written(name: str, value: float) -> str:
    if math.isnan(value) or value == -1:
        return "-"
    return f"{value:.4f}" if name in _PLAIN else f"{100 * value:.2f}"
