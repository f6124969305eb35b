"""One frame of a video: objects are pointed at, shown, or found again from memory; then the frame is remembered.

image + clicks ----------> masks, scores, pointers --.
image + masks -----------> the same -----------------+-> memory of every object [R, m, H, W]
image + memory of before > the same -----------------'

An object is a row; all rows of a call go through the networks as one batch, and none knows of the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.ops.masks import resize_logits, resize_smoothly
from sam3_hf.ops.positions import grid_positions
from sam3_hf.ops.rows import joined
from sam3_hf.ops.tokens import to_grid, to_tokens
from sam3_hf.tracker.heads import Mlp
from sam3_hf.tracker.mask_decoder import ImageLevels, MaskDecoder
from sam3_hf.tracker.memory_attention import MemoryAttention
from sam3_hf.tracker.memory_encoder import MemoryEncoder
from sam3_hf.tracker.memory_tokens import distance_positions, in_groups, memory_tokens
from sam3_hf.tracker.positions import cell_centres
from sam3_hf.tracker.prompt_encoder import PromptEncoder
from sam3_hf.tracker.prompts import Clicks
from sam3_hf.tracker.rows import objects_at_a_time
from sam3_hf.video.memory_selection import Recalled, Visit, recall
from sam3_hf.video.state import FrameMemory, MemoryBank

# What every pixel is held at where there is no object; and, in size, every pixel of a mask that was shown.
NO_OBJECT = -1024.0
# What a mask that was shown counts as: absent, present.
ABSENT, PRESENT = -10.0, 10.0
# Logits of an earlier answer that is shown to the decoder again.
_HELD = 32.0
# Cells of a mask along one patch: as the decoder draws them, and as the memory encoder reads them.
_DRAWN, _READ = 4, 16
# Masks are enlarged a few at a time, because at the size of the input they are large.
_AT_ONCE = 16


class TrackedFrame(NamedTuple):
    """What is known of every object on one frame.

    Attributes:
        masks: Logits, -1024 throughout where there is no object.
        object_score_logits: Whether there is an object.
        pointers: The object as a vector.
        iou_scores: How well the mask is expected to fit.
    """

    masks: Float[Tensor, "R 1 h w"]
    object_score_logits: Float[Tensor, "R 1"]
    pointers: Float[Tensor, "R C"]
    iou_scores: Float[Tensor, "R"]

    def rows(self, rows: Sequence[int]) -> "TrackedFrame":
        """The same of some of the objects."""
        return TrackedFrame(*(part[list(rows)] for part in self))

    @classmethod
    def join(cls, parts: Sequence["TrackedFrame"]) -> "TrackedFrame":
        """Objects of several calls, one after the other."""
        return cls(*(torch.cat(each) for each in zip(*parts, strict=True)))


class Hint(NamedTuple):
    """What is said about objects on a frame: as many points for each, and what they were taken for until now."""

    clicks: Clicks
    previous: Float[Tensor, "R 1 h w"] | None = None


class VideoTracker(nn.Module):
    """Mixed into a tracker model, whose parts it uses."""

    config: Any
    prompt_encoder: PromptEncoder
    mask_decoder: MaskDecoder
    shared_image_embedding: nn.Module
    no_memory_embedding: nn.Parameter
    memory_attention: MemoryAttention
    memory_encoder: MemoryEncoder
    memory_temporal_positional_encoding: nn.Parameter
    temporal_positional_encoding_projection_layer: nn.Linear | None
    mask_downsample: nn.Conv2d
    object_pointer_proj: Mlp
    no_object_pointer: nn.Parameter
    occlusion_spatial_embedding_parameter: nn.Parameter | None

    def add_memory(self, config: Sam3TrackerVideoConfig) -> None:
        """Make the parts that an image tracker does not have."""
        width, memory_width = config.prompt_encoder_config.hidden_size, config.memory_encoder_output_channels
        self.memory_attention = MemoryAttention(config)
        self.memory_encoder = MemoryEncoder(config)
        self.memory_temporal_positional_encoding = nn.Parameter(torch.zeros(config.num_maskmem, 1, 1, memory_width))
        # Parity: checkpoints hold it, nothing reads it.
        self.no_memory_positional_encoding = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_downsample = nn.Conv2d(1, 1, _DRAWN, _DRAWN)
        self.object_pointer_proj = Mlp(width, width, width)
        self.no_object_pointer = nn.Parameter(torch.zeros(1, width))
        timed = config.enable_temporal_pos_encoding_for_object_pointers
        self.temporal_positional_encoding_projection_layer = nn.Linear(width, memory_width) if timed else None
        marked = config.enable_occlusion_spatial_embedding
        self.occlusion_spatial_embedding_parameter = nn.Parameter(torch.zeros(1, memory_width)) if marked else None

    def see(self, levels: Sequence[Tensor]) -> ImageLevels:
        """A frame as all of the following read it: levels of the tracker's neck, once per frame."""
        return self.mask_decoder.narrow(tuple(levels))

    def prompt_with_clicks(self, image: ImageLevels, hint: Hint) -> TrackedFrame:
        """Objects that were pointed at, judged by this frame alone."""
        alone = image.patches + self.no_memory_embedding[0, 0, :, None, None]
        return self._answer(image._replace(patches=alone), hint, self._is_ambiguous(hint.clicks.labels.shape[1]))

    def prompt_with_mask(
        self,
        image: ImageLevels,
        masks: Bool[Tensor, "R 1 y x"] | Float[Tensor, "R 1 y x"],
        shown: Bool[Tensor, "R 1 Y X"] | None = None,
    ) -> TrackedFrame:
        """Objects whose masks were given; nothing is predicted but their pointers.

        Args:
            image: The frame.
            masks: Masks of any size, 0 to 1.
            shown: Masks at the size of the video, which the frame's logits are made of; `masks` if not given.
        """
        height, width = image.patches.shape[2:]
        small = resize_smoothly(masks.float(), (_READ * height, _READ * width))
        drawn = self.mask_downsample(small.to(self.mask_downsample.weight.dtype))
        pointers = self._answer(image, self._nothing_said(len(masks), image, drawn), several=False).pointers
        present = small.flatten(1).gt(0).any(1, keepdim=True)
        outlined = (masks > 0.5 if shown is None else shown).float() * (-2 * NO_OBJECT) + NO_OBJECT
        return TrackedFrame(
            masks=resize_smoothly(outlined, (_DRAWN * height, _DRAWN * width)).to(pointers.dtype),
            object_score_logits=torch.where(present, PRESENT, ABSENT).to(pointers.dtype),
            pointers=torch.where(present, pointers, self.no_object_pointer),
            iou_scores=pointers.new_ones(len(masks)),
        )

    def step(
        self,
        image: ImageLevels,
        banks: Sequence[MemoryBank],
        visit: Visit,
        hint: Hint | None = None,
        scores: Sequence[Mapping[int, float]] | None = None,
    ) -> TrackedFrame:
        """All objects of all banks, found again from what is remembered of them.

        Args:
            image: The frame.
            banks: Memory of the objects; rows of the result follow the banks, and the objects in each.
            visit: Which frame it is.
            hint: What is said about them, beside what is remembered.
            scores: Scores of tracked frames for each bank; those of the banks if not given.

        Raises:
            ValueError: A bank remembers nothing.
        """
        known = scores or [None] * len(banks)
        recalled = [recall(bank, visit, self.config, each) for bank, each in zip(banks, known, strict=True)]
        empty = [number for number, each in enumerate(recalled) if not each.memories]
        if empty:
            raise ValueError(f"Banks {empty} remember nothing that frame {visit.frame_index} could look at.")
        informed = image._replace(patches=self.remind(image.patches, recalled))
        if hint is not None:
            return self._answer(informed, hint, self._is_ambiguous(hint.clicks.labels.shape[1]))
        nothing = self._nothing_said(len(informed.patches), image)
        return self._answer(informed, nothing, self._is_ambiguous(0) and self.config.multimask_output_for_tracking)

    def memorize(
        self,
        image: ImageLevels,
        masks: Float[Tensor, "R 1 y x"],
        object_score_logits: Float[Tensor, "R 1"],
        side: int | None = None,
        binary: bool | Bool[Tensor, "R"] = False,
    ) -> Float[Tensor, "R m H W"]:
        """The frame as later frames read it.

        Args:
            image: The frame.
            masks: Logits.
            object_score_logits: Whether each object is there.
            side: Logits are enlarged to this side before they become probabilities; that of the model's input if not
                given.
            binary: Whether probabilities are 0 or 1, as where objects were pointed at; for all objects, or for each.
        """
        side = side or self.side_of(image)
        sharp = masks.new_full((len(masks),), binary, dtype=torch.bool) if isinstance(binary, bool) else binary
        parts = zip(masks.split(_AT_ONCE), sharp.split(_AT_ONCE), strict=True)
        grids = [self._read_mask(part, image, side, each) for part, each in parts]
        features = self.memory_encoder(image.patches, torch.cat(grids))
        if self.occlusion_spatial_embedding_parameter is None:
            return features
        absent = (object_score_logits <= 0).to(features.dtype)
        return features + (absent * self.occlusion_spatial_embedding_parameter)[..., None, None]

    def _read_mask(
        self, masks: Float[Tensor, "R 1 y x"], image: ImageLevels, side: int, binary: Bool[Tensor, "R"]
    ) -> Float[Tensor, "R 1 h w"]:
        """Masks as the memory encoder reads them."""
        config: Sam3TrackerVideoConfig = self.config
        logits = resize_logits(masks.flatten(0, 1), (side, side)).unsqueeze(1)
        shares = torch.where(binary[:, None, None, None], (logits > 0).float(), logits.sigmoid())
        # Parity: first the share of each pixel, then the size that the encoder reads.
        scaled = shares * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        height, width = image.patches.shape[2:]
        return resize_smoothly(scaled, (_READ * height, _READ * width)).to(image.patches.dtype)

    def remind(self, patches: Float[Tensor, "B C H W"], recalled: Sequence[Recalled]) -> Float[Tensor, "R C H W"]:
        """The image as the memory of each object lets it see it."""
        height, width = patches.shape[2:]
        places = to_tokens(grid_positions((height, width), patches.shape[1], patches))
        image, ages, distances = to_tokens(patches), self.memory_temporal_positional_encoding, self._encode_distance
        groups = in_groups(recalled, objects_at_a_time(patches))
        memories = (memory_tokens(some, ages, distances, patches) for some in groups)
        reminded = [self.memory_attention(image, places, memory, height) for memory in memories]
        return to_grid(joined(reminded), (height, width))

    def _encode_distance(self, distances: Float[Tensor, "n"]) -> Float[Tensor, "n m"]:
        """How long ago pointers were made, as their positions."""
        layer, width = self.temporal_positional_encoding_projection_layer, self.no_object_pointer.shape[1]
        if layer is None:
            return distances.new_zeros(len(distances), self.memory_temporal_positional_encoding.shape[-1])
        return layer(distance_positions(distances, width).to(layer.weight.dtype))

    def _nothing_said(self, rows: int, image: ImageLevels, masks: Tensor | None = None) -> Hint:
        """No point; which has a token, as it had in training."""
        return Hint(Clicks.of_nothing(rows, image.patches.device), masks)

    def _is_ambiguous(self, points: int) -> bool:
        """Whether so many points may mean several things."""
        config: Sam3TrackerVideoConfig = self.config
        return config.multimask_output_in_sam and config.multimask_min_pt_num <= points <= config.multimask_max_pt_num

    def _answer(self, image: ImageLevels, hint: Hint, several: bool) -> TrackedFrame:
        """The best mask of every object, or none."""
        height, width = image.patches.shape[2:]
        side = self.side_of(image)
        encoded = self.prompt_encoder(hint.clicks, hint.previous, (side, side))
        centres = cell_centres((height, width), self.no_memory_embedding)
        places = self.shared_image_embedding(centres).permute(2, 0, 1).unsqueeze(0)
        answer = self.mask_decoder(image, places, encoded, several)
        best = answer.iou_scores.argmax(1)
        rows = torch.arange(len(best), device=best.device)
        present = answer.object_score_logits > 0
        pointers = self.object_pointer_proj(answer.tokens[rows, best])
        return TrackedFrame(
            masks=torch.where(present[..., None, None], answer.logits[rows, best].unsqueeze(1), NO_OBJECT),
            object_score_logits=answer.object_score_logits,
            pointers=torch.where(present, pointers, self.no_object_pointer),
            iou_scores=answer.iou_scores[rows, best],
        )

    def side_of(self, image: ImageLevels) -> int:
        """Side of the model's input in pixels."""
        patch = self.config.prompt_encoder_config.patch_size
        return image.patches.shape[2] * (patch if isinstance(patch, int) else patch[0])


def held(masks: Float[Tensor, "R 1 h w"]) -> Float[Tensor, "R 1 h w"]:
    """An earlier answer, as it is shown to the decoder again."""
    return masks.clamp(-_HELD, _HELD)


def remembered(
    seen: TrackedFrame,
    features: Float[Tensor, "R m H W"],
    sizes: Sequence[int],
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | None = None,
) -> list[FrameMemory]:
    """One memory per bank, each in memory of its own; here, and nowhere else on a frame, the host waits for the device.

    Args:
        seen: All objects of the frame.
        features: What `memorize` made of them.
        sizes: How many objects each bank has.
        dtype: Type that features are kept in. Parity: the original rounds them, whatever the model's type.
        device: Where all of it is kept; where it is if not given.
    """
    presence, ious = torch.stack([seen.object_score_logits[:, 0].float(), seen.iou_scores.float()]).tolist()
    device = features.device if device is None else device
    seen, features = TrackedFrame(*(part.to(device) for part in seen)), features.to(dtype).to(device)
    memories, first = [], 0
    for size in sizes:
        rows = slice(first, first + size)
        first += size
        memories.append(
            FrameMemory(
                pointers=seen.pointers[rows].clone(),
                object_score_logits=seen.object_score_logits[rows].clone(),
                features=features[rows].to(dtype, copy=True),
                masks=seen.masks[rows].clone(),
                presence=tuple(presence[rows]),
                ious=tuple(ious[rows]),
            )
        )
    return memories
