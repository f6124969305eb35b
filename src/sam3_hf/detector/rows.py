"""Prompt rows: a prompt is a row, and every row has an image.

images B, texts and boxes (rows or 1) -> which image each row belongs to [P]; maps [B, C, H, W] -> [P, C, H, W]
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sam3_hf.ops.tokens import PaddedTokens


class ImageRows(NamedTuple):
    """The image of every prompt row: tokens, positions and (height, width) of the coarsest level.

    Tokens of an image that all rows share are there once, and so are the levels of every image, fine to coarse; which
    is whose is told by `index`.
    """

    levels: tuple[Float[Tensor, "B C _ _"], ...]
    index: Int[Tensor, " P"]
    tokens: Float[Tensor, "#P N C"]
    positions: Float[Tensor, "1 N C"]
    size: tuple[int, int]


def check_mask(mask: Tensor, text: Float[Tensor, "T L C"]) -> None:
    """Refuse an attention mask that is not one number per token."""
    if mask.shape != text.shape[:2]:
        raise ValueError(
            f"attention_mask must have the shape of the text, {tuple(text.shape[:2])}, got {tuple(mask.shape)}."
        )


def take(maps: Float[Tensor, "B C H W"], index: Int[Tensor, " P"]) -> Float[Tensor, "P C H W"]:
    """The map of every row's image; a single image is shared, not copied."""
    return maps.expand(len(index), -1, -1, -1) if len(maps) == 1 else maps[index]


def rows_of_images(
    images: int, text: PaddedTokens, boxes: Tensor | None, image_index: Int[Tensor, " P"] | None
) -> Int[Tensor, " P"]:
    """Which image each prompt row belongs to.

    Raises:
        ValueError: The counts of images, texts and boxes do not fit together, or an index is out of range.
    """
    counts = {"texts": len(text.values), "boxes": 1 if boxes is None else len(boxes)}
    rows = max(images, *counts.values()) if image_index is None else len(image_index)
    misfits = {name: count for name, count in counts.items() if count not in (1, rows)}
    if image_index is None and images not in (1, rows):
        misfits["images"] = images
    if misfits:
        raise ValueError(
            f"{images} images, {counts['texts']} rows of text and {counts['boxes']} rows of boxes do not make "
            f"{rows} prompt rows; each must be there once or {rows} times. Where prompts outnumber images, pass "
            "image_index with the image of every row."
        )
    if image_index is None:
        # One image serves every row; otherwise each row has its own.
        return torch.arange(rows, device=text.values.device) * (images == rows)
    if not torch.compiler.is_compiling() and not 0 <= int(image_index.min()) <= int(image_index.max()) < images:
        raise ValueError(f"image_index must lie in 0..{images - 1}, got {image_index.tolist()}.")
    return image_index
