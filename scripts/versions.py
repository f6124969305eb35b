"""The fast tests with the oldest, a middle and the newest versions that the package supports.

environment: Python, pins -> fresh virtual environment -> pytest -> one line of the table

    python scripts/versions.py                 # all environments, one after the other; about 6 GB of disk at a time
    python scripts/versions.py --only oldest   # one of them, or several: --only oldest --only newest
    python scripts/versions.py -- -k hub       # what follows goes to pytest

Needs Python 3.11 or newer for itself. The interpreters of the environments are looked for on the PATH, in pyenv and in
uv. pip's own settings (index, cache, certificates) apply.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import tomllib

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("transformers", "torch", "numpy", "huggingface_hub")


class Environment(NamedTuple):
    """A Python version and what to install; `oldest` pins every dependency to its lower bound."""

    python: str
    pins: tuple[str, ...] = ()
    oldest: bool = False


ENVIRONMENTS = {
    "oldest": Environment("3.10", oldest=True),
    "oldest-transformers": Environment("3.10", ("transformers==5.8.0", "numpy<2")),
    "numpy1": Environment("3.12", ("numpy<2",)),
    "middle": Environment("3.12", ("transformers==5.15.*", "numpy>=2")),
    "newest": Environment("3.13", ("numpy>=2",)),
}


class Row(NamedTuple):
    """One line of the table."""

    name: str
    python: str
    versions: dict[str, str]
    result: str
    seconds: float
    passed: bool


def main() -> int:
    """Run the environments that were asked for; 0 if the tests pass in all of them."""
    parser = argparse.ArgumentParser(description="The fast tests with the oldest to the newest supported versions.")
    parser.add_argument("--only", action="append", choices=ENVIRONMENTS, help="run this one; may be repeated")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    arguments = parser.parse_args()
    names = arguments.only or list(ENVIRONMENTS)
    rows = [run(name, ENVIRONMENTS[name], arguments.pytest) for name in names]
    say(table(rows))
    return 0 if all(row.passed for row in rows) else 1


def run(name: str, environment: Environment, options: list[str]) -> Row:
    """One environment, made, used and removed."""
    start = time.monotonic()
    python = next(interpreters(environment.python), None)
    if python is None:
        return Row(name, environment.python, {}, "no such Python found", 0.0, passed=False)
    say(f"--- {name}: Python {environment.python}, {', '.join(pins(environment)) or 'no pins'}")
    folder = Path(tempfile.mkdtemp(prefix=f"versions-{name}-"))
    try:
        inside = make(folder, python, environment)
        done = subprocess.run([inside, "-m", "pytest", "-p", "no:cacheprovider", *options], cwd=ROOT, check=False)
        result = "passed" if done.returncode == 0 else f"failed (pytest: {done.returncode})"
        seconds = time.monotonic() - start
        return Row(name, environment.python, versions(inside), result, seconds, done.returncode == 0)
    except subprocess.CalledProcessError as error:
        failed = f"cannot be installed (pip: {error.returncode})"
        return Row(name, environment.python, {}, failed, time.monotonic() - start, passed=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def interpreters(version: str) -> Iterator[str]:
    """Interpreters of this version, such as "3.12", on this machine."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [f"python{version}", "python3", "python", sys.executable]
    found += [str(path / "bin" / "python") for path in sorted(pyenv.glob(f"{version}.*"))]
    if shutil.which("uv"):
        found.append(output("uv", "python", "find", version))
    for candidate in filter(None, map(shutil.which, filter(None, found))):
        if output(candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])") == version:
            yield candidate


def output(*command: str) -> str:
    """What a command prints, or nothing if it fails, as pyenv's shims of inactive versions do."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def make(folder: Path, python: str, environment: Environment) -> str:
    """A virtual environment with the package and its tests' needs; its interpreter."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    inside = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    wanted = [f"{ROOT}[test]", *pins(environment)]
    subprocess.run([inside, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return inside


def pins(environment: Environment) -> list[str]:
    """What pip is told besides the package itself."""
    bounds = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return [*environment.pins, *(bound.replace(">=", "==") for bound in bounds if environment.oldest)]


def versions(python: str) -> dict[str, str]:
    """The installed versions of what the table shows."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    return dict(zip(SHOWN, output(python, "-c", code, *SHOWN).split(), strict=True))


def table(rows: list[Row]) -> str:
    """Markdown."""
    head = ["environment", "Python", *SHOWN, "fast tests", "seconds"]
    lines = [
        [row.name, row.python, *(row.versions.get(name, "") for name in SHOWN), row.result, f"{row.seconds:.0f}"]
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def say(text: str) -> None:
    """To stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
