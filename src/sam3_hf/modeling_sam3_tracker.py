"""SAM 3 on one object at a time: the interactive half.

pixel_values -> vision encoder (ViT shared with Sam3Model, own neck) -> image embeddings --.
points, boxes -> prompt encoder -> tokens ------------------------------------------------+-> mask decoder -> masks,
masks --------> prompt encoder -> grid ---------------------------------------------------'   their quality, presence
"""

from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init
from transformers.utils.generic import ModelOutput, can_return_tuple

from sam3_hf.configuration_sam3_tracker import Sam3TrackerConfig, image_tracker
from sam3_hf.modeling_base import Model, Sam3PreTrainedModel, recording
from sam3_hf.modeling_outputs import Sam3TrackerImageSegmentationOutput, Sam3VisionEncoderOutput
from sam3_hf.ops.masks import resize_smoothly
from sam3_hf.tracker.attention import ObjectAttention
from sam3_hf.tracker.mask_decoder import ImageLevels, MaskDecoder, ObjectMasks
from sam3_hf.tracker.positions import FourierPositions, cell_centres
from sam3_hf.tracker.prompt_encoder import PromptEncoder
from sam3_hf.tracker.prompts import ObjectPrompts
from sam3_hf.vision.encoder import Sam3VisionModel

# Cells of a mask along one patch.
_MASK_SCALE = 4


class Sam3TrackerPreTrainedModel(Sam3PreTrainedModel):
    """Base class of the tracker models: what their checkpoints call their parts."""

    config_class = Sam3TrackerConfig
    base_model_prefix = "sam3_tracker"
    input_modalities: ClassVar[Any] = ("image",)
    _no_split_modules: ClassVar[list[str]] = ["Embeddings", "ViTLayer", "PromptEncoder", "MaskDecoder"]
    # From the released layout, where the ViT stands in the detector and the tracker's own parts beside it.
    _renamed: ClassVar[dict[str, str]] = {
        r"^detector_model\.vision_encoder\.backbone\.": "vision_encoder.backbone.",
        r"^tracker_neck\.": "vision_encoder.neck.",
        r"^tracker_model\.(.+)": r"\1",
    }
    # The allow-list of `from_pretrained`: the rest of the detector, and the tracker's memory of earlier video frames.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"^detector_model\.",
        r"^memory_attention\.",
        r"^memory_encoder\.",
        r"^memory_temporal_positional_encoding$",
        r"^mask_downsample\.",
        r"^object_pointer_proj\.",
        r"^temporal_positional_encoding_projection_layer\.",
        r"^no_memory_positional_encoding$",
        r"^no_object_pointer$",
        r"^occlusion_spatial_embedding_parameter$",
    ]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, FourierPositions):
            init.normal_(module.positional_embedding, mean=0.0, std=module.scale)
        elif isinstance(module, Sam3TrackerModel):  # the last one
            points, cells = module.prompt_encoder.shared_embedding, module.shared_image_embedding
            init.copy_(cells.positional_embedding, points.positional_embedding)
            for parameter in module.parameters(recurse=False):
                init.zeros_(parameter)

    @classmethod
    def from_pretrained(cls: type[Model], pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Model:
        """Load a model from a tracker's folder or from the released layout; see `Sam3PreTrainedModel`."""
        kwargs.setdefault("key_mapping", cls._renamed)  # pyright: ignore[reportAttributeAccessIssue]
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)  # pyright: ignore


class Sam3TrackerModel(Sam3TrackerPreTrainedModel):
    """The mask of the one object that points, a box or a rough mask show.

    Args:
        config: Sizes of the model; a `sam3_video` configuration gives its tracker.
    """

    config: Sam3TrackerConfig

    def __init__(self, config: PreTrainedConfig) -> None:
        if not isinstance(config, Sam3TrackerConfig):
            config = Sam3TrackerConfig(**image_tracker(config.to_dict()))
        super().__init__(config)
        config._attn_implementation = config._attn_implementation  # so that every part has it
        self.vision_encoder = Sam3VisionModel(config.vision_config)
        self.add_parts(config)
        self.post_init()

    def add_parts(self, config: Sam3TrackerConfig) -> None:
        """Make all parts but the vision encoder."""
        prompts: Any = config.prompt_encoder_config
        masks: Any = config.mask_decoder_config
        # Parity: checkpoints hold the same frequencies twice, for points and for the cells of the image.
        self.shared_image_embedding = FourierPositions(prompts.hidden_size, prompts.scale)
        self.prompt_encoder = PromptEncoder(prompts)
        self.mask_decoder = MaskDecoder(masks)
        self.no_memory_embedding = nn.Parameter(torch.zeros(1, 1, prompts.hidden_size))

    @classmethod
    def from_original(
        cls,
        checkpoint: str | Path,
        config: str | Path | PreTrainedConfig | None = None,
        *,
        dtype: str | torch.dtype | None = None,
        **options: Any,
    ) -> "Sam3TrackerModel":
        """Load the interactive half from a checkpoint of the original, without converting it first.

        Args:
            checkpoint: `sam3.pt`, or a safetensors file with the same names.
            config: Configuration of type `sam3_video`, or its JSON file, of a model that is not of the released size.
            dtype: Floating-point type, such as "bfloat16"; that of the checkpoint if not given.
            options: `device_map`, `attn_implementation` and others of `from_pretrained`.

        Raises:
            ValueError: The file cannot be read, or it does not fit the configuration.
        """
        # The converter stands above the models and builds on them; only this door looks up to it.
        from sam3_hf.conversion.original_tracker import read_original_tracker

        return cls._of_original(checkpoint, read_original_tracker(checkpoint, config, dtype), **options)

    def get_input_embeddings(self) -> nn.Module:
        """The patch projection of the vision encoder."""
        return self.vision_encoder.get_input_embeddings()

    @can_return_tuple
    def get_vision_features(
        self,
        pixel_values: Float[Tensor, "B c H W"],
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> Sam3VisionEncoderOutput:
        """What the ViT sees in images, to be passed as `vision_embeds` here and to `Sam3Model`; arguments as there.

        Returns:
            Tokens alone (`last_hidden_state`), without maps: each model makes its own.
        """
        seen = self.vision_encoder.backbone(pixel_values, output_attentions, output_hidden_states)
        return Sam3VisionEncoderOutput(**seen)

    def get_image_embeddings(
        self, pixel_values: Float[Tensor, "B c H W"] | None = None, vision_embeds: ModelOutput | None = None
    ) -> list[Tensor]:
        """Images as the mask decoder reads them, to be passed as `image_embeddings` with any number of prompts.

        Args:
            pixel_values: Normalised images (images, 3, side, side), or `vision_embeds`.
            vision_embeds: What `get_vision_features` of this model, or of a `Sam3Model` with the same ViT, returned.

        Returns:
            Maps at four times, twice and once the patch grid.

        Raises:
            ValueError: Both or neither was given, or the images are not of a size that the ViT takes.
        """
        if (pixel_values is None) == (vision_embeds is None):
            raise ValueError("Pass exactly one of pixel_values and vision_embeds.")
        vision = (
            self.vision_encoder(pixel_values) if vision_embeds is None else self.vision_encoder.pyramid(vision_embeds)
        )
        return list(self._levels(vision))

    def get_prompt_embeddings(
        self,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
    ) -> tuple[Float[Tensor, "B O T C"], Float[Tensor, "R C H W"]]:
        """Prompts as the mask decoder reads them, for images of the size in the configuration; arguments as `forward`.

        Returns:
            A token per point and corner and one more, and what is added to the image of every object. Tokens of padding
            are among them, and have to be left out by whoever reads them.
        """
        given = [part for part in (input_points, input_boxes, input_masks) if part is not None]
        images = given[0] if given else self.no_memory_embedding
        prompts = ObjectPrompts.of(images, input_points, input_labels, input_boxes, input_masks)
        side = self._trained_grid()
        encoded = self.prompt_encoder(
            prompts.clicks, self._mask_prompt(prompts, (side, side)), self._pixels((side, side))
        )
        rows = len(encoded.tokens.values)
        return encoded.tokens.values.unflatten(0, (-1, prompts.objects)), encoded.grid.expand(rows, -1, side, side)

    def get_image_wide_positional_embeddings(self, size: tuple[int, int] | None = None) -> Float[Tensor, "1 C H W"]:
        """Where each cell of the patch grid is; of the size (height, width) in the configuration if none is given."""
        size = size or (self._trained_grid(), self._trained_grid())
        centres = cell_centres(size, self.shared_image_embedding.positional_embedding)
        return self.shared_image_embedding(centres).permute(2, 0, 1).unsqueeze(0)

    @can_return_tuple
    def forward(  # noqa: PLR0913, PLR0917 (public signature)
        self,
        pixel_values: Float[Tensor, "B c H W"] | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: list[Tensor] | tuple[Tensor, ...] | None = None,
        multimask_output: bool = True,
        vision_embeds: ModelOutput | None = None,
        original_sizes: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> Sam3TrackerImageSegmentationOutput:
        """Find the mask of every object that was pointed at; objects know nothing of each other.

        Args:
            pixel_values: Normalised images (images, 3, side, side), or `vision_embeds`, or `image_embeddings`.
            input_points: (images, objects, points, 2) x and y in pixels of the model's input, as the processor says.
            input_labels: (images, objects, points) 1 on the object, 0 not on it, 2 and 3 the first and second corner of
                a box around it, -1 for a token that is no point, -10 for padding; 1 if not given.
            input_boxes: (images, objects, 4) corners x1, y1, x2, y2 of the box around each object, in the same pixels;
                -10 throughout for an object without box.
            input_masks: Logits as `pred_masks` has them, (images, height, width) for all objects of an image or
                (images, objects, height, width); resized if they are not of its size.
            image_embeddings: What `get_image_embeddings` or an earlier call returned.
            multimask_output: Three masks per object for prompts that may mean several things, or one.
            vision_embeds: What `get_vision_features` of this model, or of a `Sam3Model` with the same ViT, returned.
            original_sizes: Ignored; the processor's inputs can be passed as they are.
            output_attentions: Also return attention weights; needs `attn_implementation="eager"`.
            output_hidden_states: Also return the ViT's hidden states.
            return_dict: `False` for a tuple.

        Raises:
            ValueError: Not exactly one image input, or prompts whose shapes do not fit together.
        """
        vision = self._vision(pixel_values, vision_embeds, image_embeddings, (output_attentions, output_hidden_states))
        image = self._levels(vision) if image_embeddings is None else ImageLevels(*image_embeddings[:3])
        prompts = ObjectPrompts.of(image.patches, input_points, input_labels, input_boxes, input_masks)
        with recording(self.mask_decoder, {"attentions": ObjectAttention}, False, output_attentions) as looking:
            masks = self._decode(image, prompts, multimask_output)
        return Sam3TrackerImageSegmentationOutput(
            iou_scores=masks.iou_scores.unflatten(0, (-1, prompts.objects)),
            pred_masks=masks.logits.unflatten(0, (-1, prompts.objects)),
            object_score_logits=masks.object_score_logits.unflatten(0, (-1, prompts.objects)),
            image_embeddings=tuple(image),
            vision_hidden_states=vision.hidden_states,
            vision_attentions=vision.attentions,
            mask_decoder_attentions=looking.weights(),
        )

    def _vision(
        self, pixels: Tensor | None, seen: ModelOutput | None, embeddings: Any, wanted: tuple[bool | None, bool | None]
    ) -> Sam3VisionEncoderOutput:
        """What this model's vision encoder makes of the image; nothing if that is embedded already."""
        given = {"pixel_values": pixels, "vision_embeds": seen, "image_embeddings": embeddings}
        names = [name for name, value in given.items() if value is not None]
        if len(names) != 1:
            raise ValueError(f"Pass exactly one of {', '.join(given)}; got {' and '.join(names) or 'none'}.")
        if pixels is not None:
            return self.vision_encoder(pixels, *wanted)
        return Sam3VisionEncoderOutput() if seen is None else self.vision_encoder.pyramid(seen)

    def _levels(self, vision: Sam3VisionEncoderOutput) -> ImageLevels:
        """The image as the mask decoder reads it, when there is no memory of earlier frames."""
        levels = self.mask_decoder.narrow(vision.fpn_hidden_states or ())
        return levels._replace(patches=levels.patches + self.no_memory_embedding[0, 0, :, None, None])

    def _decode(self, image: ImageLevels, prompts: ObjectPrompts, several: bool) -> ObjectMasks:
        """Masks of every object."""
        grid = (image.patches.shape[2], image.patches.shape[3])
        encoded = self.prompt_encoder(prompts.clicks, self._mask_prompt(prompts, grid), self._pixels(grid))
        return self.mask_decoder(image, self.get_image_wide_positional_embeddings(grid), encoded, several)

    def _mask_prompt(self, prompts: ObjectPrompts, grid: tuple[int, int]) -> Float[Tensor, "R 1 h w"] | None:
        """Mask prompts at the size that the prompt encoder takes."""
        size = (_MASK_SCALE * grid[0], _MASK_SCALE * grid[1])
        return None if prompts.masks is None else resize_smoothly(prompts.masks, size)

    def _trained_grid(self) -> int:
        """Patches along one side of an image of the size in the configuration."""
        prompts: Any = self.config.prompt_encoder_config
        return prompts.image_size // prompts.patch_size

    def _pixels(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Size in pixels of an image with this grid of patches."""
        patch = self.vision_encoder.backbone.patch
        return grid[0] * patch, grid[1] * patch
