"""The end of `track`: predictions of the whole video, a table, and what was wrong with single frames.

results.jsonl -> predictions.json; objects of every phrase, damaged frames
"""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.track_folder import TrackFolder
from sam3_hf.cli.track_job import TrackJob
from sam3_hf.video_io.json_lines import read_json_lines
from sam3_hf.video_io.veval import masklet_predictions, write_predictions


class TrackTally:
    """Counts frames, and the objects of every phrase."""

    def __init__(self, texts: list[str]) -> None:
        self.objects: dict[str | None, set[int]] = {text: set() for text in texts}
        self.damaged: list[int] = []
        self.frames = 0

    def count(self, folder: TrackFolder) -> None:
        """Count all that was found."""
        for result in read_json_lines(folder.lines):
            self.frames += 1
            if result.damaged:
                self.damaged.append(result.frame)
            for each in result.objects:
                self.objects.setdefault(each.text, set()).add(each.id)

    def table(self) -> Table:
        """One line per phrase."""
        table = Table("Prompt")
        table.add_column("Objects", justify="right")
        for text, ids in self.objects.items():
            table.add_row(Text(text or "shown"), str(len(ids)))
        return table


def write_masklets(job: TrackJob, folder: TrackFolder, size: tuple[int, int]) -> None:
    """All frames in the form that `evaluate --video` reads."""
    texts = job.text or [None]
    ids = dict(zip(texts, job.category_id or range(len(texts)), strict=True))
    try:
        write_predictions(
            masklet_predictions(read_json_lines(folder.lines), size, job.video_id, ids), folder.predictions
        )
    except OSError as error:
        raise CommandError(f"Cannot write {folder.predictions}: {error.strerror or error}") from error


def sum_up(job: TrackJob, folder: TrackFolder, notes: list[str]) -> None:
    """Say what was found.

    Raises:
        CommandError: Something was wrong with the file, or with single frames of it.
    """
    tally = TrackTally(job.text)
    tally.count(folder)
    console = Console(highlight=False)
    console.print(tally.table())
    console.print(Text(f"Results of {tally.frames} frame(s) are in {folder.path}."), soft_wrap=True)
    if tally.damaged:
        frames = ", ".join(map(str, tally.damaged))
        notes = [*notes, f"{job.video}: frames that cannot be decoded, for which the one before stands in: {frames}."]
    if notes:
        raise CommandError(*notes)
