"""How much two objects overlap.

masks or boxes [n], [m] -> IoU [n, m]
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from sam3_hf.extras import needed


def iou(found: Any, annotated: Any) -> Float[np.ndarray, "n m"]:
    """IoU of run-length codes of one size, or of boxes xywh in one unit."""
    if not len(found) or not len(annotated):
        return np.zeros((len(found), len(annotated)))
    return np.asarray(needed("pycocotools.mask", "eval").iou(found, annotated, [0] * len(annotated)))
