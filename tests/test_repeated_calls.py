"""What is left in memory after many calls: nothing."""

import gc
import sys
import tracemalloc

import pytest

from sam3_hf.benchmarking.memory import resident, settle
from sam3_hf.segmentation import segment
from tests.support.folders import finding_model, tiny_processor
from tests.support.photographs import photograph

CALLS = 200
# What Python keeps by itself, such as line numbers of frames; one mask of these is 6 kB.
LEFT_IN_PYTHON = 64 * 1024
# A tenth of what 200 leaked inputs of the model would be.
LEFT_RESIDENT = 6 * 2**20


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    model, processor = finding_model(), tiny_processor(tmp_path_factory.mktemp("merges"))
    image = photograph()

    def call():
        (found,) = segment(image, "ear", model=model, processor=processor, threshold=0.35)
        assert found.results[0].instances

    for _ in range(5):
        call()
    return call


def test_objects_and_python_memory_return_to_their_start(call):
    tracemalloc.start()
    try:
        call()
        gc.collect()
        objects, start = len(gc.get_objects()), tracemalloc.get_traced_memory()[0]
        for _ in range(CALLS // 20):
            call()
        gc.collect()
        assert len(gc.get_objects()) - objects < 20
        assert tracemalloc.get_traced_memory()[0] - start < LEFT_IN_PYTHON
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much is resident now")
def test_resident_memory_returns_to_its_start_after_two_hundred_calls(call):
    settle()
    start = resident()
    for _ in range(CALLS):
        call()
    settle()
    assert resident() - start < LEFT_RESIDENT
