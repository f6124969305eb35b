"""Layer norm of every part but the ViT and the text encoder."""

from torch import nn


def layer_norm(width: int) -> nn.LayerNorm:
    """A layer norm over `width` channels with epsilon 1e-5."""
    # Parity: published configurations say `layer_norm_eps: 1e-06` for the geometry, DETR and mask parts; the released
    # model was computed with 1e-5, so the field is read from files, written back, and never applied.
    return nn.LayerNorm(width, eps=1e-5)
