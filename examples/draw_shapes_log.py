"""Write down how the embedded model `shapes` learned: a table of every figure that was logged, and curves.

    python examples/draw_shapes_log.py OUTPUT ... --table docs/shapes_log.csv --curves docs/images/shapes_curves.svg

Each OUTPUT is what examples/train_shapes.py or examples/train_shapes_tracker.py left.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import NamedTuple

WIDTH, HEIGHT, MARGIN, COLUMNS = 250, 170, 36, 4
COLOURS = ("#d1495b", "#00798c", "#edae49", "#66a182")
# What is drawn of each lesson; all of it lies between 0 and 1.
PANELS = {
    "look": ("colour_hit", "shape_hit", "texture_hit"),
    "read": ("iou", "silent"),
    "find": ("eval_segm_cgF1", "eval_segm_IL_MCC", "eval_segm_pmF1"),
    "sharpen": ("eval_segm_cgF1", "eval_segm_IL_MCC", "eval_segm_pmF1"),
    "apart": ("eval_segm_cgF1", "eval_segm_IL_MCC", "eval_segm_pmF1"),
    "outline": ("eval_segm_cgF1", "eval_segm_IL_MCC", "eval_segm_pmF1"),
    "alike": ("eval_segm_cgF1", "eval_segm_IL_MCC", "eval_segm_pmF1"),
    "point": ("loss_dice", "iou", "box"),
    "stills": ("eval_iou_1", "eval_iou_3", "eval_iou_box"),
    "clips": ("eval_jf_click", "eval_jf_mask"),
    "long_clips": ("eval_jf_click", "eval_jf_mask"),
    "recognize": ("hit",),
    "recall": ("loss_dice", "still_loss_dice", "recall_dice"),
    "long_recall": ("loss_dice", "still_loss_dice", "recall_dice"),
}
_NO_FIGURES = ("epoch", "step", "total_flos")


class Figure(NamedTuple):
    """A number that was logged."""

    lesson: str
    step: int
    name: str
    value: float


def figures_of(output: Path) -> list[Figure]:
    """All that was logged in the lessons of a run."""
    found = []
    for lesson in PANELS:
        states = sorted(
            (output / lesson).glob("checkpoint-*/trainer_state.json"), key=lambda path: path.stat().st_mtime
        )
        for entry in json.loads(states[-1].read_text())["log_history"] if states else ():
            named = {name: value for name, value in entry.items() if name not in _NO_FIGURES}
            found += [Figure(lesson, entry["step"], name, float(value)) for name, value in named.items()]
    return found


def panel(lesson: str, figures: list[Figure], place: int) -> str:
    """Curves of one lesson as a group of SVG elements."""
    last = max(figure.step for figure in figures if figure.lesson == lesson)
    lines = [
        f'<g transform="translate({WIDTH * (place % COLUMNS)} {HEIGHT * (place // COLUMNS)})">'
        f'<text x="{MARGIN}" y="16" font-weight="bold">{lesson}</text>',
        f'<path d="M{MARGIN} 24V{HEIGHT - 24}H{WIDTH - 8}" fill="none" stroke="#888"/>',
        f'<text x="{MARGIN - 6}" y="30" text-anchor="end">1</text>',
        f'<text x="{MARGIN - 6}" y="{HEIGHT - 22}" text-anchor="end">0</text>',
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 8}" text-anchor="end">{last} steps</text>',
    ]
    for number, (name, colour) in enumerate(zip(PANELS[lesson], COLOURS, strict=False)):
        points = [
            (MARGIN + (WIDTH - 8 - MARGIN) * each.step / last, HEIGHT - 24 - (HEIGHT - 48) * min(max(each.value, 0), 1))
            for each in figures
            if each.lesson == lesson and each.name == name
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        shown = name.removeprefix("eval_").removeprefix("segm_")
        lines.append(
            f'<text x="{WIDTH - 12}" y="{HEIGHT - 34 - 13 * number}" fill="{colour}" text-anchor="end">{shown}</text>'
        )
    return "\n".join([*lines, "</g>"])


def main() -> None:
    """Read the logs, write both files."""
    parser = argparse.ArgumentParser(description="Write down how the embedded model `shapes` learned.")
    parser.add_argument("outputs", type=Path, nargs="+")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--curves", type=Path, required=True)
    options = parser.parse_args()
    figures = [figure for output in options.outputs for figure in figures_of(output)]
    with options.table.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Figure._fields)
        writer.writerows((*figure[:3], f"{figure.value:.5g}") for figure in figures)
    lessons = [lesson for lesson in PANELS if any(figure.lesson == lesson for figure in figures)]
    panels = "\n".join(panel(lesson, figures, place) for place, lesson in enumerate(lessons))
    options.curves.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * min(len(lessons), COLUMNS)}" '
        f'height="{HEIGHT * -(-len(lessons) // COLUMNS)}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n{panels}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
