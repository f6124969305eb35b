"""Refinement: the mask of one object, made or corrected click by click.

image -> embeddings, once -.
mask so far, if any -------+-> clicks so far -> model -> mask, which the next click starts from
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.ops.masks import mask_prompt
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor

Box = tuple[float, float, float, float]
# Logits are fed back within these limits, as the original's predictor returns them.
_LIMIT = 32.0


class Edit(NamedTuple):
    """One state of the object: what was said of it, and the answer."""

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None
    logits: Tensor | None = None
    score: float | None = None


class MaskEditor:
    """Corrects the mask of one object with clicks and a box; the image is encoded once.

    ```python
    editor = MaskEditor(tracker, processor, image, mask=result["masks"][0])
    mask = editor.click(310, 120)                 # this belongs to it, too
    mask = editor.click(40, 200, positive=False)  # this does not
    mask = editor.undo()
    ```

    Args:
        model: The tracker.
        processor: Its processor.
        image: What the processor takes as one image.
        mask: Where to start: bool or 0 and 1, of the image's size, such as one of a concept result's `masks`. If not
            given, the first click or box starts from nothing.
        vision_embeds: What `Sam3Model.get_vision_features` returned for this image, if there is a concept result.

    Raises:
        ValueError: The mask is not of the image's size.
    """

    def __init__(
        self,
        model: Sam3TrackerModel,
        processor: Sam3TrackerProcessor,
        image: Any,
        mask: Any = None,
        vision_embeds: Any = None,
    ) -> None:
        """Encode the image, unless that is done already."""
        self.model = model
        self.processor = processor
        inputs = processor(image, return_tensors="pt", device=model.device)
        self.size: tuple[int, int] = tuple(inputs["original_sizes"][0].tolist())
        pixels = inputs["pixel_values"] if vision_embeds is None else None
        with torch.no_grad():
            self.embeddings = model.get_image_embeddings(pixels, vision_embeds)
        self._edits = [Edit(logits=None if mask is None else self._prompt(mask))]

    @property
    def score(self) -> float | None:
        """How well the mask is expected to fit, 0..1; `None` before the first click."""
        return self._edits[-1].score

    @property
    def mask(self) -> Bool[Tensor, "H W"] | None:
        """The mask as it is now, of the image's size; `None` before there is one."""
        last = self._edits[-1]
        return None if last.logits is None else self._shown(last)

    def click(self, x: float, y: float, positive: bool = True) -> Bool[Tensor, "H W"]:
        """Say that the pixel at x, y belongs to the object, or does not."""
        return self.say(points=[(x, y)], labels=[int(positive)])

    def draw_box(self, x1: float, y1: float, x2: float, y2: float) -> Bool[Tensor, "H W"]:
        """Say that the object fills this box; it takes the place of an earlier one."""
        return self.say(box=(x1, y1, x2, y2))

    def say(
        self, points: Sequence[tuple[float, float]] = (), labels: Sequence[int] = (), box: Box | None = None
    ) -> Bool[Tensor, "H W"]:
        """Several things at once, beside all that was said before; one answer, the new mask.

        Args:
            points: x, y in pixels of the image.
            labels: One per point, 1 on the object, 0 not on it.
            box: x1, y1, x2, y2 in pixels, around the object.

        Raises:
            ValueError: A point outside of the image, not one label per point, or a box that is none.
        """
        last = self._edits[-1]
        edit = last._replace(points=(*last.points, *points), labels=(*last.labels, *labels), box=box or last.box)
        self._edits.append(self._answered(edit))
        return self._shown(self._edits[-1])

    def undo(self) -> Bool[Tensor, "H W"] | None:
        """Go back by one click or box."""
        self._edits = self._edits[:-1] or self._edits
        return self.mask

    def _prompt(self, mask: Any) -> Float[Tensor, "1 h w"]:
        """The mask as logits of the model's size."""
        mask = torch.as_tensor(mask, device=self.model.device).bool()
        if tuple(mask.shape) != self.size:
            raise ValueError(f"The mask must have the image's size {self.size}; got shape {tuple(mask.shape)}.")
        height, width = self.embeddings[0].shape[-2:]
        return mask_prompt(mask[None], (height, width))

    def _answered(self, edit: Edit) -> Edit:
        """Ask the model, starting from the last mask."""
        inputs = self.processor(
            input_points=[[list(edit.points)]] if edit.points else None,
            input_labels=[[list(edit.labels)]] if edit.labels else None,
            input_boxes=None if edit.box is None else [[edit.box]],
            original_sizes=[self.size],
            return_tensors="pt",
            device=self.model.device,
        )
        masks = None if edit.logits is None else edit.logits[None]
        # A single click may mean a part or the whole; all that comes later says which.
        ambiguous = masks is None and edit.box is None and len(edit.points) == 1
        with torch.no_grad():
            outputs = self.model(
                **inputs, image_embeddings=self.embeddings, input_masks=masks, multimask_output=ambiguous
            )
        best = int(outputs.iou_scores[0, 0].argmax())
        logits = outputs.pred_masks[0, 0, best, None].float().clamp(-_LIMIT, _LIMIT)
        return edit._replace(logits=logits, score=float(outputs.iou_scores[0, 0, best]))

    def _shown(self, edit: Edit) -> Bool[Tensor, "H W"]:
        """The mask of an edit that has one, at the size of the image."""
        return self.processor.post_process_masks([edit.logits], [self.size])[0][0]
