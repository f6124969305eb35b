import sys

import numpy as np
import pytest
import torch

from sam3_hf.benchmarking import memory
from sam3_hf.benchmarking.memory import Peak, peak_of, resident

CPU = torch.device("cpu")
MEGABYTES = 64


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no high-water mark that can be reset")
def test_the_peak_is_that_of_the_call_and_not_of_calls_before():
    def filling(megabytes):
        return lambda: np.ones(megabytes * 2**20, dtype=np.uint8).sum()

    large, small = (peak_of(filling(n), CPU) for n in (MEGABYTES, 1))
    assert MEGABYTES * 2**20 * 0.95 < large.above_start < MEGABYTES * 2**20 * 1.5
    assert small.above_start < 16 * 2**20
    assert large.resident > resident() / 2


def test_where_the_system_does_not_say_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_PROCESS", tmp_path / "nowhere")
    assert peak_of(lambda: None, CPU) == Peak(None, None, None)
    assert resident() is None
