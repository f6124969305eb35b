from tests.support.checkpoints import TINY_CONFIG, released_shapes, tiny_expected

from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.tracker_shapes import tracker_shapes

PREFIX = "tracker_model."


def of_the_tracker(shapes):
    return {name.removeprefix(PREFIX): tuple(shape) for name, shape in shapes.items() if name.startswith(PREFIX)}


def test_released_configuration_implies_the_released_tensors():
    assert tracker_shapes(read_config(None, "all")["tracker_config"]) == of_the_tracker(released_shapes("hf"))


def test_tiny_configuration_implies_the_tiny_tensors():
    expected = {name: entry["shape"] for name, entry in tiny_expected().items()}
    assert tracker_shapes(read_config(TINY_CONFIG, "all")["tracker_config"]) == of_the_tracker(expected)
