import torch

from sam3_hf.benchmarking import timing
from sam3_hf.benchmarking.memory import Peak
from sam3_hf.benchmarking.timing import Timing, alternate, seconds_of

CPU = torch.device("cpu")
NOTHING = Peak(None, None, None)


def test_sides_take_turns_after_a_warm_up():
    called = []
    sides = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    timings = alternate(sides, 2, CPU)
    assert called == ["a", "b", "a", "b", "a", "b"]
    assert [len(timings[side].seconds) for side in sides] == [2, 2]


def test_without_rounds_the_first_call_counts():
    called = []
    timings = alternate({"a": lambda: called.append("a")}, 0, CPU)
    assert called == ["a"]
    assert len(timings["a"].seconds) == 1


def test_medians_and_quartiles_are_those_of_the_runs():
    found = Timing([5.0, 1.0, 2.0, 4.0, 3.0], NOTHING)
    assert (found.median, found.quartiles) == (3, (2, 4))
    assert Timing([7.0], NOTHING).quartiles == (7, 7)
    assert found.to_dict()["runs_s"] == [5, 1, 2, 4, 3]


def test_time_runs_while_the_call_does(monkeypatch):
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    assert seconds_of(lambda: None, CPU) == 2.5
