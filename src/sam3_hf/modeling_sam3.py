"""SAM 3 on images: the map of the whole.

pixel_values -> vision encoder -> levels --------------------------------------.
input_ids -> text encoder -> text --.                                          |
input_boxes -> geometry encoder ----+-> prompt -> DETR encoder -> memory       |
                                          memory -> DETR decoder -> queries, boxes, presence
                                          queries . prompt -> scores           |
                                          queries . (levels + memory) -> masks'
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils.generic import can_return_tuple

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.detector.detr_decoder import DetrDecoder, DetrDecoderLayer, Memory
from sam3_hf.detector.detr_encoder import DetrEncoder, DetrEncoderLayer
from sam3_hf.detector.geometry_encoder import GeometryEncoder
from sam3_hf.detector.mask_decoder import MaskDecoder
from sam3_hf.detector.prompts import BoxPrompt
from sam3_hf.detector.scoring import DotProductScoring
from sam3_hf.layers.attention import Attention
from sam3_hf.modeling_base import Sam3PreTrainedModel, recording
from sam3_hf.modeling_outputs import (
    Sam3ImageSegmentationOutput,
    Sam3TextEncoderOutput,
    Sam3VisionEncoderOutput,
)
from sam3_hf.ops.boxes import to_xyxy
from sam3_hf.ops.tokens import PaddedTokens, join, to_tokens
from sam3_hf.repository import CompleteRepository
from sam3_hf.text.encoder import CausalAttention, TextEncoder, TextLayer, real_tokens
from sam3_hf.vision.encoder import Sam3VisionModel


class ImageRows(NamedTuple):
    """The image of every prompt row: levels fine to coarse; tokens, positions and (height, width) of the coarsest."""

    levels: tuple[Float[Tensor, "P C _ _"], ...]
    tokens: Float[Tensor, "P N C"]
    positions: Float[Tensor, "1 N C"]
    size: tuple[int, int]


class Sam3Model(CompleteRepository, Sam3PreTrainedModel):
    """SAM 3 for images: every object that matches a noun phrase, example boxes, or both.

    Args:
        config: Sizes of the model; a `sam3_video` configuration gives its detector.
    """

    config: Sam3Config

    def __init__(self, config: PreTrainedConfig) -> None:
        config = getattr(config, "detector_config", None) or config
        if not isinstance(config, Sam3Config):
            config = Sam3Config(**(config if isinstance(config, dict) else config.to_dict()))
        super().__init__(config)
        config._attn_implementation = config._attn_implementation  # so that every part has it
        self.vision_encoder = Sam3VisionModel(config.vision_config)
        self.text_encoder = TextEncoder(config.text_config)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.detr_encoder_config.hidden_size)
        self.geometry_encoder = GeometryEncoder(config.geometry_encoder_config)
        self.detr_encoder = DetrEncoder(config.detr_encoder_config)
        self.detr_decoder = DetrDecoder(config.detr_decoder_config)
        self.mask_decoder = MaskDecoder(config.mask_decoder_config)
        self.dot_product_scoring = DotProductScoring(config.detr_decoder_config)
        self.post_init()

    @classmethod
    def from_original(
        cls,
        checkpoint: str | Path,
        config: str | Path | PreTrainedConfig | None = None,
        *,
        dtype: str | torch.dtype | None = None,
        allow_missing: str | Sequence[str] = (),
        **options: Any,
    ) -> "Sam3Model":
        """Load the image model from a checkpoint of the original, whole or not at all, without converting it first.

        Args:
            checkpoint: `sam3.pt`, a safetensors file with the same names, or the multiplex checkpoint of SAM 3.1.
            config: Configuration, or its JSON file, of a model that is not of the released size.
            dtype: Floating-point type, such as "bfloat16"; that of the checkpoint if not given.
            allow_missing: Parts that the checkpoint may lack as a whole; see `from_pretrained`.
            options: `device_map`, `attn_implementation` and others of `from_pretrained`.

        Raises:
            ValueError: The file cannot be read, or it does not fit the configuration.
        """
        # The converter stands above the models and builds on them; only this door looks up to it.
        from sam3_hf.conversion.originals import read_original

        allowed = (allow_missing,) if isinstance(allow_missing, str) else allow_missing
        original = read_original(checkpoint, config, dtype, allowed)
        loaded = {"config": original.config, "state_dict": original.weights, "dtype": original.dtype}
        return cls._load(checkpoint, None, allow_missing=allowed, **loaded, **options)

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
        """Features of images, to be passed as `vision_embeds` with any number of prompts.

        Args:
            pixel_values: Normalised images (images, 3, side, side).
            output_attentions: Also return the ViT's attention weights; needs `attn_implementation="eager"`.
            output_hidden_states: Also return the ViT's hidden states.
            return_dict: `False` for a tuple.

        Raises:
            ValueError: The images are not square or their side is not a multiple of the patch size.
        """
        output_attentions, output_hidden_states = self._wanted(output_attentions, output_hidden_states)
        return self.vision_encoder(pixel_values, output_attentions, output_hidden_states)

    @can_return_tuple
    def get_text_features(
        self,
        input_ids: Int[Tensor, "T L"],
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> Sam3TextEncoderOutput:
        """Features of texts, to be passed as `text_embeds` with any number of images.

        Args:
            input_ids: Token ids (texts, length), length up to 32, padded with 0.
            attention_mask: (texts, length), 0 where a token is padding; where the id is 0 if not given.
            output_attentions: Also return attention weights; needs `attn_implementation="eager"`.
            output_hidden_states: Also return the hidden states.
            return_dict: `False` for a tuple.

        Returns:
            `pooler_output` holds what the model reads, (texts, length, width), zero where a token is padding;
            `attention_mask` what is real of it.
        """
        layers = {"hidden_states": TextLayer, "attentions": CausalAttention}
        with recording(self, layers, output_hidden_states, output_attentions) as seen:
            tokens = self.text_encoder(input_ids)
        real = real_tokens(input_ids) if attention_mask is None else attention_mask.bool()
        check_mask(real, tokens)
        return Sam3TextEncoderOutput(
            last_hidden_state=tokens,
            pooler_output=self.text_projection(tokens).masked_fill(~real.unsqueeze(-1), 0),
            hidden_states=seen.states(),
            attentions=seen.weights(),
            attention_mask=real,
        )

    @can_return_tuple
    def forward(  # noqa: PLR0913, PLR0917
        self,
        pixel_values: Float[Tensor, "B c H W"] | None = None,
        vision_embeds: Sam3VisionEncoderOutput | Any = None,
        input_ids: Int[Tensor, "T L"] | None = None,
        attention_mask: Tensor | None = None,
        text_embeds: Tensor | Sam3TextEncoderOutput | Any = None,
        input_boxes: Float[Tensor, "R N 4"] | None = None,
        input_boxes_labels: Tensor | None = None,
        image_index: Int[Tensor, " P"] | None = None,
        original_sizes: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> Sam3ImageSegmentationOutput:
        """Find every object that matches each prompt.

        A prompt row is a text, boxes, or both, on one image. There are as many rows as texts, boxes or images; what
        is there once serves every row, and `image_index` says which image a row belongs to where that is not plain.

        Args:
            pixel_values: Normalised images (images, 3, side, side), or `vision_embeds`.
            vision_embeds: What `get_vision_features` returned, instead of `pixel_values`.
            input_ids: Token ids (rows or 1, length), or `text_embeds`.
            attention_mask: (rows or 1, length), 0 where a token is padding. If not given: where `input_ids` is 0, as
                `text_embeds` has it, or where a plain tensor is zero.
            text_embeds: What `get_text_features` returned, or its `pooler_output`, instead of `input_ids`.
            input_boxes: (rows or 1, boxes, 4) centre x, centre y, width, height, relative to the image (0..1).
            input_boxes_labels: (rows or 1, boxes) 1 for a positive example, 0 for a negative one, -10 for padding;
                all positive if not given.
            image_index: (rows,) which image each row belongs to.
            original_sizes: Ignored; the processor's inputs can be passed as they are.
            output_attentions: Also return attention weights; needs `attn_implementation="eager"`.
            output_hidden_states: Also return the hidden states of each part.
            return_dict: `False` for a tuple.

        Raises:
            ValueError: Not exactly one image input and one text input, counts that do not fit together, or an image
                whose size is not a square multiple of the patch size.
        """
        exactly_one(pixel_values=pixel_values, vision_embeds=vision_embeds)
        exactly_one(input_ids=input_ids, text_embeds=text_embeds)
        output_attentions, output_hidden_states = self._wanted(output_attentions, output_hidden_states)
        vision = vision_embeds or self.vision_encoder(pixel_values, output_attentions, output_hidden_states)
        if vision.fpn_hidden_states is None:  # from a model that shares the ViT and has a neck of its own
            vision = self.vision_encoder.pyramid(vision)
        text = self._text(input_ids, text_embeds, attention_mask)
        index = rows_of_images(len(vision.fpn_hidden_states[0]), text, input_boxes, image_index)
        image = self._rows(vision, index)
        rows = len(image.tokens)
        text = PaddedTokens(*(part.expand(rows, *part.shape[1:]) for part in text))
        boxes = self._boxes(input_boxes, input_boxes_labels, image)

        prompt = join(text, self.geometry_encoder(image.tokens, image.positions, image.size, boxes))
        layers = {"hidden_states": DetrEncoderLayer, "attentions": Attention}
        with recording(self.detr_encoder, layers, output_hidden_states, output_attentions) as encoding:
            memory = self.detr_encoder(image.tokens, image.positions, prompt)
        layers = {"hidden_states": DetrDecoderLayer, "attentions": Attention}
        with recording(self.detr_decoder, layers, output_hidden_states, output_attentions) as decoding:
            queries = self.detr_decoder(Memory(memory, image.positions, image.size), prompt)
        logits = self.dot_product_scoring(queries.hidden_states[-1], prompt)
        with recording(self.mask_decoder, {"attentions": Attention}, False, output_attentions) as masking:
            masks = self.mask_decoder(queries.hidden_states[-1], image.levels, memory, prompt)

        return Sam3ImageSegmentationOutput(
            pred_masks=masks.instances,
            pred_boxes=to_xyxy(queries.boxes_cxcywh[-1]),
            pred_logits=logits,
            presence_logits=queries.presence_logits[-1],
            semantic_seg=masks.semantic,
            decoder_hidden_states=decoding.states(lambda state: state[:, 1:]),
            decoder_reference_boxes=queries.reference_boxes_cxcywh,
            encoder_hidden_states=encoding.states(),
            vision_hidden_states=vision.hidden_states,
            vision_attentions=vision.attentions,
            detr_encoder_attentions=encoding.weights(),
            detr_decoder_attentions=decoding.weights(),
            mask_decoder_attentions=masking.weights(),
            image_index=index,
        )

    def _wanted(self, attentions: bool | None, states: bool | None) -> tuple[bool, bool]:
        """The flags, from the configuration where they are not given."""
        attentions = self.config.output_attentions if attentions is None else attentions
        states = self.config.output_hidden_states if states is None else states
        return bool(attentions), bool(states)

    def _text(self, input_ids: Tensor | None, text_embeds: Any, mask: Tensor | None) -> PaddedTokens:
        """Text features and which of them are real, from ids, from features, or from their plain tensor."""
        if input_ids is not None:
            text_embeds = self.get_text_features(input_ids, mask, False, False, return_dict=True)  # pyright: ignore
        if isinstance(text_embeds, Tensor):
            values, own_mask = text_embeds, None
        else:
            values, own_mask = text_embeds.pooler_output, getattr(text_embeds, "attention_mask", None)
        mask = own_mask if mask is None else mask
        real = values.ne(0).any(-1) if mask is None else mask
        check_mask(real, values)
        return PaddedTokens(values.to(self.dtype), real.bool())

    def _boxes(self, boxes: Tensor | None, labels: Tensor | None, image: ImageRows) -> BoxPrompt:
        """Example boxes of every row."""
        rows = len(image.tokens)
        if boxes is None:
            if labels is not None:
                raise ValueError("input_boxes_labels was given without input_boxes; pass both.")
            return BoxPrompt.empty(rows, image.tokens.device)
        if labels is not None and labels.shape != boxes.shape[:2]:
            raise ValueError(
                f"input_boxes_labels must have one label per box, {tuple(boxes.shape[:2])}, got {tuple(labels.shape)}."
            )
        return BoxPrompt.of(boxes, labels).expand(rows)

    def _rows(self, vision: Sam3VisionEncoderOutput | Any, index: Int[Tensor, " P"]) -> ImageRows:
        """The features of the image of every row; levels coarser than the patch grid are left out."""
        scales = self.config.vision_config.scale_factors
        used = [number for number, scale in enumerate(scales) if scale >= 1]
        levels = tuple(take(vision.fpn_hidden_states[number], index) for number in used)
        positions = to_tokens(vision.fpn_position_encoding[used[-1]][:1])
        height, width = levels[-1].shape[-2:]
        return ImageRows(levels, to_tokens(levels[-1]), positions, (height, width))


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


def exactly_one(**options: object) -> str:
    """Name of the one option that was given.

    Raises:
        ValueError: None was given, or several.
    """
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"Pass exactly one of {' and '.join(options)}; got {' and '.join(given) or 'none'}.")
    return given[0]
