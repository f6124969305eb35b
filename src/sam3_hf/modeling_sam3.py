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
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils.generic import can_return_tuple

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.detector.detr_decoder import DecodedQueries, DetrDecoder, DetrDecoderLayer, Memory
from sam3_hf.detector.detr_encoder import DetrEncoder, DetrEncoderLayer
from sam3_hf.detector.geometry_encoder import GeometryEncoder
from sam3_hf.detector.keyhole import Pixels, keyhole
from sam3_hf.detector.mask_decoder import MaskDecoder, Masks
from sam3_hf.detector.prompts import BoxPrompt
from sam3_hf.detector.rows import ImageRows, check_mask, rows_of_images
from sam3_hf.detector.scoring import DotProductScoring
from sam3_hf.layers.attention import Attention
from sam3_hf.losses.detection import DetectionLoss, Loss
from sam3_hf.losses.masks import PredictedMasks
from sam3_hf.losses.matcher import with_spare
from sam3_hf.losses.predictions import Predictions
from sam3_hf.losses.targets import Targets
from sam3_hf.modeling_base import Sam3PreTrainedModel, recording
from sam3_hf.modeling_outputs import (
    Sam3ImageSegmentationOutput,
    Sam3TextEncoderOutput,
    Sam3VisionEncoderOutput,
)
from sam3_hf.ops.boxes import to_xyxy
from sam3_hf.ops.tokens import PaddedTokens, join, to_tokens
from sam3_hf.repository import CompleteRepository
from sam3_hf.text.encoder import CausalAttention, TextEncoder, TextLayer, columns_read, real_tokens
from sam3_hf.vision.encoder import Sam3VisionModel


class Sam3Model(CompleteRepository, Sam3PreTrainedModel):
    """SAM 3 for images: every object that matches a noun phrase, example boxes, or both.

    Args:
        config: Sizes of the model; a `sam3_video` configuration gives its detector.
    """

    config: Sam3Config
    # The loss is a mean over what is in one call, and no count of items makes it a sum.
    accepts_loss_kwargs = False

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
        return cls._of_original(checkpoint, read_original(checkpoint, config, dtype, allowed), allowed, **options)

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
        output_attentions, output_hidden_states = wanted(self.config, output_attentions, output_hidden_states)
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
            `pooler_output` holds what the model reads, (texts, length, width), `attention_mask` what is real of it. It
            and `last_hidden_state` are zero where a token is padding; columns without a real token are not computed.
        """
        real = real_tokens(input_ids) if attention_mask is None else attention_mask.bool()
        layers = {"hidden_states": TextLayer, "attentions": CausalAttention}
        with recording(self, layers, output_hidden_states, output_attentions) as seen:
            tokens = self.text_encoder(input_ids, input_ids.shape[1] if seen.layers else columns_read(real))
        check_mask(real, tokens)
        tokens = tokens.masked_fill(~real.unsqueeze(-1), 0)
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
        labels: list[dict[str, Tensor]] | Any = None,
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
            labels: What is there, for training: one dictionary per row with `boxes` (n, 4), float, centre x, centre y,
                width, height relative to the whole canvas (0..1); optionally `masks` (n, height, width), bool, of one
                size in a batch, `mask_valid` (n,) where some have none, and `semantic_mask` (height, width) in place of
                the union of `masks`. Without `boxes` those of `masks` are taken. n = 0 says that nothing is there. In
                training mode `pred_masks` and `semantic_seg` are `None` if no row has a mask.
            return_dict: `False` for a tuple.

        Raises:
            ValueError: Not exactly one image input and one text input, counts that do not fit together, an image whose
                size is not a square multiple of the patch size, or labels that are not what they must be.
        """
        exactly_one(pixel_values=pixel_values, vision_embeds=vision_embeds)
        exactly_one(input_ids=input_ids, text_embeds=text_embeds)
        output_attentions, output_hidden_states = wanted(self.config, output_attentions, output_hidden_states)
        text = self._text(input_ids, text_embeds, attention_mask)
        index = rows_of_images(count_images(pixel_values, vision_embeds), text, input_boxes, image_index)
        lesson = Lesson(self, labels, text.values.device, len(index))
        vision = vision_embeds or self.vision_encoder(pixel_values, output_attentions, output_hidden_states)
        image, states, weights = self._rows(vision, index), vision.hidden_states, vision.attentions
        del vision  # what no later part reads makes room for masks
        text = PaddedTokens(*(part.expand(len(index), *part.shape[1:]) for part in text))
        boxes = self._boxes(input_boxes, input_boxes_labels, image)

        prompt = join(text, self.geometry_encoder(image.tokens, image.positions, image.size, boxes))
        layers = {"hidden_states": DetrEncoderLayer, "attentions": Attention}
        with recording(self.detr_encoder, layers, output_hidden_states, output_attentions) as encoding:
            memory = self.detr_encoder(image.tokens, image.positions, prompt)
        layers = {"hidden_states": DetrDecoderLayer, "attentions": Attention}
        with recording(self.detr_decoder, layers, output_hidden_states, output_attentions) as decoding:
            decoded = self.detr_decoder(Memory(memory, image.positions, image.size), prompt, lesson.sets)
        heard = decoded.layers(lesson.layers)
        logits = self.dot_product_scoring(heard.hidden_states, prompt)
        with recording(self.mask_decoder, {"attentions": Attention}, False, output_attentions) as masking:
            masks, loss = lesson.masks(heard, logits, Pixels(image.levels, memory, prompt, index))

        first = lesson.first
        *before, last = answers(logits[..., first], heard.boxes_cxcywh[:, :, first], heard.presence_logits)
        return Sam3ImageSegmentationOutput(
            loss=loss and loss.total,
            pred_masks=masks and masks.instances,
            **last,
            semantic_seg=masks and masks.semantic,
            decoder_hidden_states=decoding.states(lambda state: state[:, 1:][:, first]),
            decoder_reference_boxes=decoded.reference_boxes_cxcywh[:, :, first],
            encoder_hidden_states=encoding.states(lambda state: state.expand(len(index), -1, -1)),
            vision_hidden_states=states,
            vision_attentions=weights,
            detr_encoder_attentions=encoding.weights(lambda weight: weight.expand(len(index), -1, -1, -1)),
            detr_decoder_attentions=decoding.weights(),
            mask_decoder_attentions=masking.weights(),
            image_index=index,
            loss_dict=loss and loss.terms,
            auxiliary_outputs=before or None,
        )

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
        rows = len(image.index)
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
        if vision.fpn_hidden_states is None:  # from a model that shares the ViT and has a neck of its own
            vision = self.vision_encoder.pyramid(vision)
        scales = self.config.vision_config.scale_factors
        used = [number for number, scale in enumerate(scales) if scale >= 1]
        levels = tuple(vision.fpn_hidden_states[number] for number in used)
        positions = to_tokens(vision.fpn_position_encoding[used[-1]][:1])
        height, width = levels[-1].shape[-2:]
        tokens = to_tokens(levels[-1] if len(levels[-1]) == 1 else levels[-1][index])
        return ImageRows(levels, index, tokens, positions, (height, width))


class Lesson:
    """What one pass through the model is asked to learn, if anything.

    Args:
        model: Whose configuration, mode and mask decoder are used.
        labels: As `Sam3Model.forward` takes them.
        device: Where the model computes.
        rows: Number of prompt rows.

    Raises:
        ValueError: The labels are not what they must be.
    """

    def __init__(self, model: Sam3Model, labels: Any, device: torch.device, rows: int) -> None:
        config = model.config.loss_config
        targets = None if labels is None else Targets.of(labels, rows, device)
        self.targets = targets if targets is None or config.masks_count else targets.without_masks()
        self.criterion = DetectionLoss(config)
        self.mask_decoder, self.training = model.mask_decoder, model.training
        self.first = slice(model.config.detr_decoder_config.num_queries)
        self.sets = 2 if targets and model.training and config.use_dac else 1
        self.layers = slice(None) if targets and config.auxiliary_loss else slice(-1, None)

    def masks(self, heard: DecodedQueries, logits: Tensor, pixels: Pixels) -> tuple[Masks | None, Loss | None]:
        """Masks of the first set of queries, and the loss, which shows what else needs a mask."""
        queries, first = heard.hidden_states[-1], self.first.stop
        if self.targets is None:
            return self.mask_decoder(queries, *pixels), None
        said = Predictions.of(logits, heard.boxes_cxcywh, heard.presence_logits, first)
        matching = self.criterion.match(said, self.targets)
        unseen = self.training and not self.targets.have_masks
        sight = keyhole(queries, pixels) if unseen else (with_spare(queries, first, matching.spare), *pixels)
        instances, semantic = self.mask_decoder(*sight)
        seen = PredictedMasks(instances[:, :first], instances[:, first:], semantic)
        loss = self.criterion(said, seen, self.targets, matching)
        return (None if unseen else Masks(instances[:, :first], semantic)), loss


def wanted(config: Sam3Config, attentions: bool | None, states: bool | None) -> tuple[bool, bool]:
    """The flags, from the configuration where they are not given."""
    attentions = config.output_attentions if attentions is None else attentions
    states = config.output_hidden_states if states is None else states
    return bool(attentions), bool(states)


def count_images(pixel_values: Tensor | None, vision_embeds: Any) -> int:
    """How many images there are, before any is looked at."""
    if pixel_values is not None:
        return len(pixel_values)
    return len((vision_embeds.fpn_hidden_states or [vision_embeds.last_hidden_state])[0])


def answers(logits: Tensor, boxes_cxcywh: Tensor, presence_logits: Tensor) -> list[dict[str, Tensor]]:
    """What each layer says, by its public names."""
    layers = zip(logits, to_xyxy(boxes_cxcywh), presence_logits, strict=True)
    return [dict(zip(("pred_logits", "pred_boxes", "presence_logits"), layer, strict=True)) for layer in layers]


def exactly_one(**options: object) -> str:
    """Name of the one option that was given.

    Raises:
        ValueError: None was given, or several.
    """
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"Pass exactly one of {' and '.join(options)}; got {' and '.join(given) or 'none'}.")
    return given[0]
