"""Capturing a model as one graph, for `torch.compile` and `torch.export`."""

import pytest
import torch

whole_graphs = pytest.mark.skipif(
    torch.__version__ < torch.torch_version.TorchVersion("2.8"), reason="older torch stumbles over plain Python"
)
