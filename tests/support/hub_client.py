"""A process of its own that loads from a Hub: the client reads its environment once, on import.

calls -> a worker with HF_ENDPOINT and HF_HOME set -> what came out: a fingerprint of the weights, or the error
"""

import contextlib
import io
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Small, so that a download is cut between two of them.
CHUNK = 1 << 16
_attempts: list[Any] = []
# What every worker must not inherit.
_CLEARED = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass
class Outcome:
    """What a call gave, or why not."""

    value: Any = None
    error: str = ""
    kinds: tuple[str, ...] = ()
    """Names of the error's classes."""
    causes: tuple[str, ...] = ()
    """Class names of the errors behind it."""
    connections: int = 0
    """How often an unplugged worker tried to connect."""


class Client:
    """Calls that run in the worker."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool

    def model(self, source: str, **options: Any) -> Outcome:
        return self.pool.submit(_guarded, _model, source, options).result()

    def processor(self, source: str, **options: Any) -> Outcome:
        return self.pool.submit(_guarded, _processor, source, options).result()

    def tokenizer(self, source: str, **options: Any) -> Outcome:
        return self.pool.submit(_guarded, _tokenizer, source, options).result()

    def all(self, source: str, **options: Any) -> dict[str, Outcome]:
        """Each of the three."""
        calls = {"model": self.model, "processor": self.processor, "tokenizer": self.tokenizer}
        return {name: call(source, **options) for name, call in calls.items()}

    def automatic(self, source: str) -> Outcome:
        return self.pool.submit(_guarded, _automatic, source, {}).result()

    def command(self, source: str, **options: Any) -> Outcome:
        """`sam3-hf segment`: the exit code and what it wrote to stderr."""
        return self.pool.submit(_guarded, _command, source, options).result()


@contextmanager
def client(home: Path, endpoint: str, offline: bool = False, unplugged: bool = False) -> Iterator[Client]:
    """A worker with its cache in `home`; unplugged, every attempt to open a connection fails and is counted."""
    environment = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint} | ({"HF_HUB_OFFLINE": "1"} if offline else {})
    with ProcessPoolExecutor(1, get_context("spawn"), _start, (environment, unplugged)) as pool:
        yield Client(pool)


def _start(environment: dict[str, str], unplugged: bool) -> None:
    for name in _CLEARED:
        os.environ.pop(name, None)
    os.environ.update(environment, HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1")
    if unplugged:
        socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = _refuse
    from huggingface_hub import constants

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    # The client waits between its attempts, for half a minute in all.
    time.sleep = lambda seconds: None


def _refuse(*arguments: Any, **options: Any) -> None:
    # Counted, because libraries keep errors of a network that they can do without to themselves.
    _attempts.append(arguments)
    raise ConnectionRefusedError("unplugged")


def _guarded(call: Any, source: str, options: dict[str, Any]) -> Outcome:
    _attempts.clear()
    try:
        return Outcome(call(source, **options), connections=len(_attempts))
    except Exception as error:
        kinds = tuple(kind.__name__ for kind in type(error).__mro__)
        causes = tuple(type(cause).__name__ for cause in _causes(error))
        return Outcome(error=str(error), kinds=kinds, causes=causes, connections=len(_attempts))


def _causes(error: BaseException) -> Iterator[BaseException]:
    while error.__cause__ is not None:
        error = error.__cause__
        yield error


def fingerprint(model: Any) -> float:
    """Differs where any weight does."""
    return sum(float(weight.double().abs().sum()) for weight in model.parameters())


def _model(source: str, **options: Any) -> float:
    from sam3_hf import Sam3Model

    return fingerprint(Sam3Model.from_pretrained(source, **options))


def _processor(source: str, **options: Any) -> list[int]:
    from sam3_hf import Sam3Processor

    return Sam3Processor.from_pretrained(source, **options)(text="a helmet")["input_ids"][0]


def _tokenizer(source: str, **options: Any) -> list[int]:
    from sam3_hf import build_tokenizer

    return build_tokenizer(source, **options)("a helmet")["input_ids"]


def _automatic(source: str) -> list[str]:
    from transformers import AutoImageProcessor, AutoModel, AutoProcessor, AutoTokenizer

    import sam3_hf  # noqa: F401 (registers the classes)

    kinds = (AutoModel, AutoProcessor, AutoImageProcessor, AutoTokenizer)
    return [type(kind.from_pretrained(source)).__name__ for kind in kinds]


def _command(source: str, image: str, output: str) -> tuple[int, str]:
    from sam3_hf.cli.app import run

    arguments = ["segment", image, "--text", "helmet", "--model", source, "--output", output, "--device", "cpu"]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = run(arguments)
    return code, said.getvalue()
