"""Each part against its counterpart in transformers, with the same random weights, at two image sizes.

168 px is a grid of whole windows, 126 px one whose windows are padded.
"""

from functools import cache
from types import SimpleNamespace

import pytest
import torch
import transformers
from tests.support import golden
from tests.support.tolerances import PART, SAME_MASKS
from transformers.models.sam3 import modeling_sam3 as theirs

from sam3_hf.detector.detr_decoder import Memory
from sam3_hf.detector.prompts import BoxPrompt
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.ops.boxes import to_xyxy
from sam3_hf.ops.tokens import PaddedTokens, to_tokens

SIDES = [168, 126]


@cache
def pair(side: int) -> SimpleNamespace:
    """Both models with one set of weights, every parameter random, and shared inputs for their parts."""
    config = transformers.Sam3Config.from_dict(golden.tiny_config().to_dict())
    config.image_size = side
    generator = torch.Generator().manual_seed(side)
    their_model = theirs.Sam3Model(config).eval()
    with torch.no_grad():
        for parameter in their_model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    our_model = Sam3Model(golden.tiny_config()).eval()
    our_model.load_state_dict(their_model.state_dict())
    pixels = torch.randn(2, 3, side, side, generator=generator)
    with torch.no_grad():
        vision = their_model.vision_encoder(pixels)
    grid, positions = vision.fpn_hidden_states[2], vision.fpn_position_encoding[2]
    valid = torch.tensor([[True] * 5 + [False] * 2, [True] * 7])
    return SimpleNamespace(
        ours=our_model,
        theirs=their_model,
        pixels=pixels,
        vision=vision,
        grid=grid,
        grid_positions=positions,
        tokens=to_tokens(grid),
        positions=to_tokens(positions),
        size=tuple(grid.shape[-2:]),
        prompt=PaddedTokens(torch.randn(2, 7, 32, generator=generator), valid),
        boxes=torch.tensor(
            [[[0.4, 0.5, 0.3, 0.2], [0.9, 0.1, 0.5, 0.5]], [[0.5, 0.5, 0.02, 0.9], [0.0, 0.0, 0.0, 0.0]]]
        ),
        labels=torch.tensor([[1, 0], [1, -10]]),
    )


@pytest.fixture(params=SIDES)
def models(request: pytest.FixtureRequest) -> SimpleNamespace:
    return pair(request.param)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def test_vit(models: SimpleNamespace) -> None:
    ours = models.ours.vision_encoder.backbone(models.pixels).last_hidden_state
    expected = models.theirs.vision_encoder.backbone(models.pixels).last_hidden_state
    torch.testing.assert_close(ours, expected, **PART)


def test_neck(models: SimpleNamespace) -> None:
    grid = torch.randn(1, 48, *models.size)
    levels, positions = models.theirs.vision_encoder.neck(grid)
    for ours, expected in zip(models.ours.vision_encoder.neck(grid), levels, strict=True):
        torch.testing.assert_close(ours, expected, **PART)
    vision = models.ours.vision_encoder(models.pixels[:1])
    for ours, expected in zip(vision.fpn_position_encoding, positions, strict=True):
        torch.testing.assert_close(ours, expected, **PART)


def test_only_wanted_levels_are_made(models: SimpleNamespace) -> None:
    encoder = models.ours.vision_encoder
    every, some = encoder(models.pixels[:1]), encoder(models.pixels[:1], coarsest=1.0)
    scales = models.ours.config.vision_config.scale_factors
    assert min(scales) < 1
    assert len(some.fpn_hidden_states) == len(some.fpn_position_encoding) == sum(scale >= 1 for scale in scales)
    for level, same in zip(every.fpn_hidden_states, some.fpn_hidden_states, strict=False):
        assert level.equal(same)


def test_text_encoder(models: SimpleNamespace) -> None:
    ids = torch.tensor([[510, 5, 6, 7, 511, 0, 0], [510, 9, 511, 0, 0, 0, 0]])
    mask = ids.ne(0)
    ours = models.ours.get_text_features(ids, mask)
    expected = models.theirs.get_text_features(ids, mask.long())
    torch.testing.assert_close(ours.last_hidden_state[mask], expected.last_hidden_state[mask], **PART)
    torch.testing.assert_close(ours.pooler_output[mask], expected.pooler_output[mask], **PART)


def test_geometry_encoder(models: SimpleNamespace) -> None:
    boxes = BoxPrompt.of(models.boxes, models.labels)
    ours = models.ours.geometry_encoder(models.tokens, models.positions, models.size, boxes)
    expected = models.theirs.geometry_encoder(
        models.boxes, models.labels != -10, models.labels.clamp(min=0), [models.grid], [models.grid_positions]
    )
    # Ours leaves padding in place, theirs moves the CLS token before it; real tokens come in the same order.
    for row in range(2):
        real = expected.last_hidden_state[row][expected.attention_mask[row].bool()]
        torch.testing.assert_close(ours.values[row][ours.valid[row]], real, **PART)


def test_detr_encoder(models: SimpleNamespace) -> None:
    ours = models.ours.detr_encoder(models.tokens, models.positions, models.prompt)
    expected = models.theirs.detr_encoder(
        [models.grid], models.prompt.values, vision_pos_embeds=[models.grid_positions], text_mask=models.prompt.valid
    )
    torch.testing.assert_close(ours, expected.last_hidden_state, **PART)


def test_detr_decoder(models: SimpleNamespace) -> None:
    ours = models.ours.detr_decoder(Memory(models.tokens, models.positions, models.size), models.prompt)
    expected = models.theirs.detr_decoder(
        models.tokens, models.prompt.values, models.positions, models.prompt.valid, torch.tensor([models.size])
    )
    torch.testing.assert_close(ours.hidden_states, expected.intermediate_hidden_states, **PART)
    torch.testing.assert_close(ours.reference_boxes_cxcywh, expected.reference_boxes, **PART)
    clamped = ours.presence_logits.clamp(-10, 10)  # theirs clamps, the original does not
    torch.testing.assert_close(clamped, expected.presence_logits, **PART)


def test_scoring(models: SimpleNamespace) -> None:
    queries = torch.randn(3, 2, 20, 32)
    expected = models.theirs.dot_product_scoring(queries, models.prompt.values, models.prompt.valid).squeeze(-1)
    torch.testing.assert_close(models.ours.dot_product_scoring(queries, models.prompt), expected, **PART)


def test_scoring_limits_its_logits(models: SimpleNamespace) -> None:
    logits = models.ours.dot_product_scoring(torch.randn(2, 20, 32) * 1e4, models.prompt)
    assert logits.abs().max() == 12


def test_mask_decoder(models: SimpleNamespace) -> None:
    queries, levels = torch.randn(2, 20, 32), models.vision.fpn_hidden_states[:3]
    ours = models.ours.mask_decoder(queries, levels, models.tokens, models.prompt, torch.arange(2))
    expected = models.theirs.mask_decoder(
        queries, list(levels), models.tokens, models.prompt.values, models.prompt.valid
    )
    torch.testing.assert_close(ours.instances, expected.pred_masks, **SAME_MASKS)
    torch.testing.assert_close(ours.semantic, expected.semantic_seg, **PART)


def test_whole_model_with_boxes(models: SimpleNamespace) -> None:
    inputs = {
        "pixel_values": models.pixels,
        "input_ids": torch.tensor([[510, 5, 6, 511, 0], [510, 9, 511, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]),
        "input_boxes": models.boxes,
        "input_boxes_labels": models.labels,
    }
    ours, expected = models.ours(**inputs), models.theirs(**inputs)
    torch.testing.assert_close(ours.pred_boxes, expected.pred_boxes, **PART)
    torch.testing.assert_close(ours.pred_logits, expected.pred_logits, **PART)
    torch.testing.assert_close(ours.pred_masks, expected.pred_masks, rtol=1e-4, atol=2e-3)
    torch.testing.assert_close(ours.semantic_seg, expected.semantic_seg, **PART)
    assert to_xyxy(ours.decoder_reference_boxes).shape == (3, 2, 20, 4)


def test_features_of_theirs_can_be_passed_to_ours(models: SimpleNamespace) -> None:
    ids = torch.tensor([[510, 5, 511], [510, 9, 511]])
    outputs = models.ours(vision_embeds=models.vision, text_embeds=models.theirs.get_text_features(ids))
    expected = models.ours(pixel_values=models.pixels, input_ids=ids)
    torch.testing.assert_close(outputs.pred_logits, expected.pred_logits, **PART)
