"""Where the results of `track` go, and what it takes to go on after an interruption.

job -> header in run.json -> results.jsonl, line by line; state of the session, now and then -> all of it again

Lines are never rewritten. When a run goes on, it starts from the last state, and frames that have a line already only
bring the session up to date.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.results_folder import prepare, write_json

_STATES = 2


class TrackFolder:
    """A folder of results.

    Args:
        path: Where it is or is to be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines, self.run, self.states = path / "results.jsonl", path / "run.json", path / "state"
        self.overlay, self.predictions = path / "overlay.mp4", path / "predictions.json"
        self._saved = monotonic()

    def check(self, header: dict[str, Any], resume: bool) -> None:
        """Whether this run may write here; nothing is written.

        Raises:
            CommandError: There are results, and they are not to be gone on with, or are those of something else.
        """
        there = self._begun()
        if not there:
            return
        if not resume:
            raise CommandError(f"Results exist already: {there[0]}; pass --resume to go on, or another --output.")
        known = self._known()
        other = next((name for name in header if known.get(name) != header[name]), None)
        if other is not None:
            raise CommandError(
                f"{self.path} holds results of another run ({other}: {json.dumps(known.get(other))}, now "
                f"{json.dumps(header[other])}); repeat the first command, or pass another --output."
            )

    def begin(self, header: dict[str, Any]) -> None:
        """Make the folder, if it is not there."""
        prepare(self.path)
        if not self._begun():
            write_json(header, self.run)
        for partial in [*self.states.glob(".*-partial-*"), *self.path.glob(".*.partial")]:
            shutil.rmtree(partial) if partial.is_dir() else partial.unlink()

    def latest_states(self) -> list[tuple[int, Path]]:
        """Saved states, the latest first: how many frames had been gone through, and where it is."""
        found = [(int(path.name), path) for path in self.states.glob("*") if path.name.isdigit()]
        return sorted(found, reverse=True)

    def save(self, gone: int, write: Callable[[Path], None]) -> None:
        """Save the session's state, whole or not at all, and let older ones go.

        Raises:
            CommandError: It cannot be written.
        """
        try:
            target = self.states / str(gone)
            if not target.exists():
                write(target)
            for _, old in self.latest_states()[_STATES:]:
                shutil.rmtree(old)
        except OSError as error:
            raise CommandError(f"Cannot write {self.states}: {error.strerror or error}") from error
        self._saved = monotonic()

    def discard(self, state: Path) -> None:
        """Take away a state that cannot be gone on from."""
        shutil.rmtree(state, ignore_errors=True)

    def is_due(self, seconds: float) -> bool:
        """Whether the last state is that old."""
        return monotonic() - self._saved >= seconds

    def done(self) -> None:
        """Nothing is left to go on with."""
        shutil.rmtree(self.states, ignore_errors=True)

    def _begun(self) -> list[Path]:
        """What an earlier run has left, and would be lost; one that only began to load a model leaves nothing."""
        files = [file for file in (self.lines, self.overlay, self.predictions) if file.exists() and file.stat().st_size]
        return files + [path for _, path in self.latest_states()]

    def _known(self) -> dict[str, Any]:
        try:
            return json.loads(self.run.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"{self.run} cannot be read, so this run cannot go on: {error}") from error
