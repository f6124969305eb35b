"""Seconds of calls that take turns.

sides, each a call -> warm-up, whose peak of memory counts -> rounds, in each of which every side runs once -> Timing
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from sam3_hf.benchmarking.memory import Peak, peak_of

Call = Callable[[], object]


class Timing(NamedTuple):
    """Seconds of every measured call, in order, and the memory that the warm-up needed."""

    seconds: list[float]
    peak: Peak

    @property
    def median(self) -> float:
        """Half of the calls took less."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """A quarter of the calls took less than the first, a quarter more than the second."""
        if len(self.seconds) < 2:
            return self.seconds[0], self.seconds[0]
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third

    def to_dict(self) -> dict[str, object]:
        """Numbers and lists only."""
        low, high = self.quartiles
        peak = self.peak._asdict()
        return {"median_s": self.median, "quartiles_s": [low, high], "runs_s": self.seconds, "peak_bytes": peak}


def alternate(sides: Mapping[str, Call], rounds: int, device: torch.device, warm_ups: int = 1) -> dict[str, Timing]:
    """Measure every side once per round, in turn, so that what slows the machine down slows all of them down.

    Without rounds the first warm-up is what is measured, for calls that take minutes.
    """
    first: dict[str, list[float]] = {name: [] for name in sides}
    peaks = {}
    for name, call in sides.items():
        peaks[name] = peak_of(lambda name=name, call=call: first[name].append(seconds_of(call, device)), device)
        for _ in range(warm_ups - 1):
            seconds_of(call, device)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            seconds[name].append(seconds_of(call, device))
    return {name: Timing(seconds[name] or first[name], peaks[name]) for name in sides}


def seconds_of(call: Call, device: torch.device) -> float:
    """Time of one call until the device is done with it; its result is released before the next."""
    if device.type == "cuda":
        return _seconds_between_events(call)
    wait_for(device)
    start = time.perf_counter()
    result = call()
    wait_for(device)
    elapsed = time.perf_counter() - start
    del result
    return elapsed


def wait_for(device: torch.device) -> None:
    """Return when the device has nothing left to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _seconds_between_events(call: Call) -> float:
    """The start event is recorded on an idle device, so the time in which only the CPU works counts too."""
    torch.cuda.synchronize()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    result = call()
    end.record()
    end.synchronize()
    del result
    return start.elapsed_time(end) / 1000
