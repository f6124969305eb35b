"""Feature cache: what a model made of the texts and images used last, up to a number of bytes.

input_ids [T, L] -> text features, only new rows encoded; pixel_values [B, 3, S, S] -> vision features, once

It belongs to whoever holds the model, not to the model: with other weights, start another one or `clear` it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from sam3_hf.modeling_base import Sam3PreTrainedModel
from sam3_hf.modeling_outputs import Sam3TextEncoderOutput, Sam3VisionEncoderOutput


class FeatureCache:
    """Features for inference, the least recently used forgotten first.

    Args:
        model: A `Sam3Model`.
        limit: Bytes that may be kept. An image of 1008 px takes about 0.24 GB in bfloat16, a text 20 kB.
    """

    def __init__(self, model: Sam3PreTrainedModel, limit: int = 2**30) -> None:
        if limit < 0:
            raise ValueError(f"limit must not be negative, got {limit}.")
        self.model: Any = model
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.size = 0

    @torch.inference_mode()
    def vision(self, pixel_values: Tensor) -> Sam3VisionEncoderOutput:
        """As `Sam3Model.get_vision_features`; the same pixels give the same object."""
        key = ("vision", tuple(pixel_values.shape), _digest(pixel_values)) if self.limit else None
        found = self._find(key)
        if found is None:
            found = self.model.get_vision_features(pixel_values)
            self._keep(key, found)
        return found

    @torch.inference_mode()
    def text(self, input_ids: Tensor, attention_mask: Tensor) -> Sam3TextEncoderOutput:
        """As `Sam3Model.get_text_features`, all new texts in one batch; without the states before the last norm."""
        keys = [("text", *row) for row in torch.cat([input_ids, attention_mask.to(input_ids.dtype)], 1).tolist()]
        rows = {key: self._find(key) for key in keys}
        new = [keys.index(key) for key, features in rows.items() if features is None]
        if new:
            encoded = self.model.get_text_features(input_ids[new], attention_mask[new]).pooler_output
            rows |= {keys[row]: features.clone() for row, features in zip(new, encoded, strict=True)}
        for key, features in rows.items():
            self._keep(key, features)
        features = torch.stack([rows[key] for key in keys])
        return Sam3TextEncoderOutput(pooler_output=features, attention_mask=attention_mask.bool())  # pyright: ignore

    def _find(self, key: Hashable) -> Any:
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][1]

    def _keep(self, key: Hashable, features: Any) -> None:
        """Keep what fits, at the cost of what was not used for longest."""
        size = _bytes(features)
        if key in self._kept or size > self.limit:
            return
        while self.size + size > self.limit:
            self.size -= self._kept.popitem(last=False)[1][0]
        self._kept[key] = (size, features)
        self.size += size


def _bytes(features: Any) -> int:
    """Memory that the tensors hold; a tensor that shares memory with another counts once."""
    storages = (leaf.untyped_storage() for leaf in tree_leaves(features) if isinstance(leaf, Tensor))
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _digest(pixels: Tensor) -> str:
    """A fingerprint of every byte."""
    raw: Any = pixels.detach().cpu().contiguous().view(torch.uint8).numpy()
    return hashlib.blake2b(raw, digest_size=32, usedforsecurity=False).hexdigest()
