"""What tests need of the processor that they run on."""

import pytest
import torch

needs_bfloat16 = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    reason="this processor multiplies no bfloat16",
)
