import os

# Tensors are tiny here, so threads would only wait for each other; programs that the tests start inherit this.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

from sam3_hf.modeling_sam3 import Sam3Model
from tests.support import golden

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny() -> Sam3Model:
    """The recorded tiny model in evaluation mode; tests that change a model make their own."""
    return golden.tiny_model()
