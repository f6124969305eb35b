import numpy as np
import pytest
import torch
from transformers.utils.generic import TensorType

from sam3_hf.inputs.packing import pack

ROWS = [torch.tensor([1, 2]), torch.tensor([3, 4])]


def test_rows_become_tensors_arrays_or_lists():
    assert torch.equal(pack({"a": ROWS}, "pt", None)["a"], torch.tensor([[1, 2], [3, 4]]))
    assert torch.equal(pack({"a": ROWS}, TensorType.PYTORCH, "cpu")["a"], torch.tensor([[1, 2], [3, 4]]))
    assert isinstance(pack({"a": ROWS}, "np", None)["a"], np.ndarray)
    assert pack({"a": ROWS}, None, None)["a"] == [[1, 2], [3, 4]]


def test_pixels_stay_tensors_in_a_list():
    assert torch.is_tensor(pack({"a": [torch.zeros(3, 2, 2)]}, None, None)["a"][0])


@pytest.mark.parametrize(("kind", "device"), [("tf", None), ("np", "cpu"), (None, "cpu")])
def test_what_cannot_be_packed_is_refused(kind, device):
    with pytest.raises(ValueError, match="return_tensors"):
        pack({"a": ROWS}, kind, device)


def test_rows_of_different_sizes_cannot_be_stacked():
    with pytest.raises(ValueError, match="Cannot stack a"):
        pack({"a": [torch.zeros(3, 2, 2), torch.zeros(3, 2, 4)]}, "pt", None)
