"""What a user sees: progress on stderr while it runs, a table on stdout when it is done."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from sam3_hf.results import ImageSegmentation

Item = TypeVar("Item")


class Tally:
    """Counts what each prompt found, image by image."""

    def __init__(self) -> None:
        self.images = 0
        self.objects: Counter[str] = Counter()
        self.images_with: Counter[str] = Counter()

    def add(self, segmentation: ImageSegmentation) -> None:
        """Count one image."""
        self.images += 1
        for result in segmentation.results:
            self.objects[result.prompt.label] += len(result.instances)
            self.images_with[result.prompt.label] += bool(result.instances)

    def table(self) -> Table:
        """One line per prompt."""
        table = Table("Prompt")
        table.add_column("Objects", justify="right")
        table.add_column("Images", justify="right")
        for label, count in self.objects.items():
            table.add_row(Text(label), str(count), f"{self.images_with[label]} of {self.images}")
        return table


def progress(items: Sequence[Item], name: str) -> Iterator[Item]:
    """The items, with a bar on stderr where that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:  # where it shows nothing, rich before 14.3 still writes an empty line
        yield from items
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as bar:
        yield from bar.track(items, description=name)


def show(tally: Tally, places: Iterable[str]) -> None:
    """The table, and where the results are."""
    console = Console(highlight=False)
    console.print(tally.table())
    for place in places:
        console.print(Text(place), soft_wrap=True)
