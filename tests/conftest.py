import pytest
import torch

from sam3_hf.modeling_sam3 import Sam3Model
from tests.support import golden


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny() -> Sam3Model:
    """The recorded tiny model in evaluation mode; tests that change a model make their own."""
    return golden.tiny_model()
