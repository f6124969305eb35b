"""Training of the tracker: frames and the masks of objects in, loss out; for transformers' `Trainer`.

pixel_values [B, T, 3, S, S] -> ViT, frozen, once per frame -> tracker's neck -> frames, a row per object --.
labels [R, T, H, W] -> rehearsal: prompts and corrections -> answers -> loss, its terms <-------------------'
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sam3_hf.losses.tracking import TrackingWeights, tracking_loss
from sam3_hf.modeling_outputs import Sam3VisionEncoderOutput
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.tracker.mask_decoder import ImageLevels
from sam3_hf.training.rehearsal import Rehearsal, RehearsalPlan

# Levels of the neck that the tracker reads.
_LEVELS = 3


class TrackerLearner(nn.Module):
    """A tracker that learns, on a vision transformer that does not.

    The model is changed in place: its ViT, and what nothing reads, stop asking for gradients.

    Args:
        tracker: The model.
        plan: How it is prompted.
        weights: Of the terms of the loss.
        images_at_once: Frames in one pass of the ViT.
    """

    def __init__(
        self,
        tracker: Sam3TrackerVideoModel,
        plan: RehearsalPlan | None = None,
        weights: TrackingWeights | None = None,
        images_at_once: int = 8,
    ) -> None:
        super().__init__()
        if tracker.vision_encoder is None:
            raise ValueError("This tracker has no vision encoder; load it without remove_vision_encoder.")
        self.tracker = tracker
        self.plan = plan or RehearsalPlan()
        self.weights = weights or TrackingWeights()
        self.images_at_once = images_at_once
        for parameter in frozen(tracker):
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> "TrackerLearner":
        """Training mode for everything but the ViT."""
        super().train(mode)
        self._vision.backbone.eval()
        return self

    def forward(
        self,
        pixel_values: Float[Tensor, "B T 3 S S"],
        image_index: Int[Tensor, "R"],
        labels: Bool[Tensor, "R T H W"],
        seed: int = 0,
    ) -> dict[str, Any]:
        """Rehearse a batch.

        Args:
            pixel_values: Clips, or stills, which are clips of one frame.
            image_index: The clip of each object.
            labels: The mask of each object on each frame, empty where it cannot be seen; it must be on the first.
            seed: Of the prompts. The same batch and seed give the same loss.

        Returns:
            `loss`, and `loss_dict` with its terms.

        Raises:
            ValueError: Labels that do not fit the clips, or an object that is not on its first frame.
        """
        self._check(pixel_values, image_index, labels)
        chance = torch.Generator().manual_seed(seed)
        frames = self.look(pixel_values, image_index)
        loss = tracking_loss(Rehearsal(self.tracker, self.plan, labels, chance).run(frames), self.weights)
        return {"loss": loss.total, "loss_dict": loss.terms}

    @property
    def _vision(self) -> Any:
        return self.tracker.vision_encoder

    def look(self, pixel_values: Float[Tensor, "B T 3 S S"], image_index: Int[Tensor, "R"]) -> list[ImageLevels]:
        """Every frame as the tracker reads it, once for each object; gradients go as far as the neck."""
        with torch.no_grad():
            look: Any = self.tracker.get_vision_features
            parts = pixel_values.flatten(0, 1).split(self.images_at_once)
            tokens = torch.cat([look(part).last_hidden_state for part in parts])
        image = self.tracker.see(self._vision.pyramid(Sam3VisionEncoderOutput(tokens)).fpn_hidden_states)
        clips = [level.unflatten(0, pixel_values.shape[:2]) for level in image]
        return [ImageLevels(*(clip[image_index, time] for clip in clips)) for time in range(pixel_values.shape[1])]

    def _check(self, pixel_values: Tensor, image_index: Tensor, labels: Tensor) -> None:
        if pixel_values.ndim != 5 or labels.ndim != 4 or labels.shape[:2] != (len(image_index), pixel_values.shape[1]):
            raise ValueError(
                "Pass pixel_values (clips, frames, 3, side, side), image_index (objects,) and labels (objects, frames, "
                f"height, width); got {tuple(pixel_values.shape)}, {tuple(image_index.shape)}, {tuple(labels.shape)}."
            )
        if labels.dtype != torch.bool:
            raise ValueError(f"labels are masks, bool; got {labels.dtype}.")
        if not bool(labels[:, 0].flatten(1).any(1).all()):
            raise ValueError("Every object must be seen on the first frame, where it is prompted.")


def frozen(tracker: Sam3TrackerVideoModel) -> Iterator[nn.Parameter]:
    """The parameters that do not learn: the ViT, a level of the neck and a vector that nothing reads."""
    vision: Any = tracker.vision_encoder
    yield from vision.backbone.parameters()
    yield from vision.neck.fpn_layers[_LEVELS:].parameters()
    yield tracker.no_memory_positional_encoding
