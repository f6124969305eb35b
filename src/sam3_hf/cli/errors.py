"""What a command says when it cannot go on."""

import sys


class CommandError(Exception):
    """The user can mend this; each line says what is wrong with one thing."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def report(*lines: str, kind: str = "error: ") -> None:
    """Write lines to stderr, each on one line."""
    for line in lines:
        sys.stderr.write(f"{kind}{' '.join(line.split())}\n")
