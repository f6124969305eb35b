"""Each part of the tracker against its counterpart in transformers, with the same random weights, at two sizes."""

from functools import cache
from types import SimpleNamespace

import pytest
import torch
import transformers
from tests.support import tracker_golden as recorded
from tests.support.tolerances import PART, SAME_MASKS
from transformers.models.sam3_tracker import modeling_sam3_tracker as theirs

from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.ops.tokens import PaddedTokens, to_tokens
from sam3_hf.tracker.mask_decoder import ImageLevels
from sam3_hf.tracker.prompt_encoder import EncodedPrompt
from sam3_hf.tracker.prompts import Clicks

SIDES = [168, 126]


@cache
def pair(side: int) -> SimpleNamespace:
    """Both models with one set of weights, every one random, and shared inputs."""
    config = transformers.Sam3TrackerConfig.from_dict(recorded.tiny_config().to_dict())
    config.vision_config.backbone_config.image_size = config.prompt_encoder_config.image_size = side
    grid = side // 14
    config.vision_config.backbone_feature_sizes = [[grid * scale] * 2 for scale in (4, 2, 1)]
    generator = torch.Generator().manual_seed(side)
    their_model = theirs.Sam3TrackerModel(config).eval()
    with torch.no_grad():
        for tensor in their_model.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
    our_config = recorded.tiny_config()
    our_config.image_size = side
    our_model = Sam3TrackerModel(our_config).eval()
    our_model.load_state_dict(their_model.state_dict())
    return SimpleNamespace(
        ours=our_model,
        theirs=their_model,
        side=side,
        grid=grid,
        pixels=torch.randn(2, 3, side, side, generator=generator),
        points=torch.rand(2, 3, 2, 2, generator=generator) * side,
        labels=torch.tensor([[[1, 0], [1, 1], [0, 1]]] * 2),
        boxes=torch.rand(2, 3, 4, generator=generator) * side,
        masks=torch.randn(2, 1, 4 * grid, 4 * grid, generator=generator) * 4,
    )


@pytest.fixture(params=SIDES)
def models(request: pytest.FixtureRequest) -> SimpleNamespace:
    return pair(request.param)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def test_positions_of_the_image(models: SimpleNamespace) -> None:
    expected = models.theirs.get_image_wide_positional_embeddings()
    torch.testing.assert_close(models.ours.get_image_wide_positional_embeddings(), expected, **PART)


def test_points_and_boxes_become_the_same_tokens(models: SimpleNamespace) -> None:
    size, zero = (models.side, models.side), torch.zeros(2, 3, 0, 2)
    ours = models.ours.prompt_encoder(Clicks.of_points(models.points, models.labels), None, size).tokens
    expected, _ = models.theirs.prompt_encoder(models.points, models.labels, None, None)
    torch.testing.assert_close(ours.values, expected.flatten(0, 1), **PART)
    ours = models.ours.prompt_encoder(
        Clicks.of_boxes(models.boxes).then(Clicks.of_points(zero, None)), None, size
    ).tokens
    expected, _ = models.theirs.prompt_encoder(None, None, models.boxes, None)
    torch.testing.assert_close(ours.values, expected.flatten(0, 1), **PART)


def test_masks_become_the_same_grid(models: SimpleNamespace) -> None:
    nothing = Clicks.none(2, torch.device("cpu"))
    ours = models.ours.prompt_encoder(nothing, models.masks, (models.side, models.side)).grid
    torch.testing.assert_close(ours, models.theirs.prompt_encoder(None, None, None, models.masks)[1], **PART)


@pytest.mark.parametrize("several", [True, False])
def test_mask_decoder(models: SimpleNamespace, several: bool) -> None:
    grid = models.grid
    levels = ImageLevels(
        torch.randn(2, 4, 4 * grid, 4 * grid), torch.randn(2, 8, 2 * grid, 2 * grid), torch.randn(2, 32, grid, grid)
    )
    positions, tokens = torch.randn(1, 32, grid, grid), torch.randn(2, 3, 5, 32)
    valid = torch.ones(6, 5, dtype=torch.bool)
    prompt = EncodedPrompt(PaddedTokens(tokens.flatten(0, 1), valid), torch.randn(1, 32, 1, 1))
    ours = models.ours.mask_decoder(levels, positions, prompt, several)
    masks, scores, _, objects = models.theirs.mask_decoder(
        levels.patches,
        positions.expand(2, -1, -1, -1),
        tokens,
        prompt.grid.expand(2, 32, grid, grid),
        several,
        list(levels[:2]),
    )
    torch.testing.assert_close(ours.logits, masks.flatten(0, 1), **SAME_MASKS)
    torch.testing.assert_close(ours.iou_scores, scores.flatten(0, 1), **PART)
    torch.testing.assert_close(ours.object_score_logits, objects.flatten(0, 1), **PART)


def test_two_way_transformer(models: SimpleNamespace) -> None:
    tokens, image, positions = (torch.randn(2, *shape) for shape in ((7, 32), (32, 5, 6), (32, 5, 6)))
    ours = models.ours.mask_decoder.transformer(
        tokens, torch.ones(2, 7, dtype=torch.bool), to_tokens(image), to_tokens(positions[:1])
    )
    expected = models.theirs.mask_decoder.transformer(
        tokens.unsqueeze(1), image, positions[:1].expand(2, -1, -1, -1), None
    )
    torch.testing.assert_close(ours.tokens, expected[0].squeeze(1), **PART)
    torch.testing.assert_close(ours.image, expected[1].squeeze(1), **PART)


@pytest.mark.parametrize("prompt", ["points", "boxes", "mask"])
def test_whole_model_from_the_same_embeddings(models: SimpleNamespace, prompt: str) -> None:
    # Given the embeddings, because theirs adds the embedding for "no memory" to a level that nothing reads.
    embeddings = models.ours.get_image_embeddings(models.pixels)
    prompts = {
        "points": {"input_points": models.points, "input_labels": models.labels},
        "boxes": {"input_boxes": models.boxes},
        "mask": {
            "input_points": models.points[:, :1],
            "input_labels": models.labels[:, :1],
            "input_masks": models.masks,
        },
    }[prompt]
    ours = models.ours(image_embeddings=embeddings, **prompts, multimask_output=False)
    expected = models.theirs(image_embeddings=embeddings, **prompts, multimask_output=False)
    torch.testing.assert_close(ours.pred_masks, expected.pred_masks, **SAME_MASKS)
    torch.testing.assert_close(ours.iou_scores, expected.iou_scores, **PART)


def test_image_embeddings_differ_by_the_embedding_for_no_memory_alone(models: SimpleNamespace) -> None:
    ours, expected = models.ours.get_image_embeddings(models.pixels), models.theirs.get_image_embeddings(models.pixels)
    for level in range(2):
        torch.testing.assert_close(ours[level], expected[level], **PART)
    no_memory = models.ours.no_memory_embedding[0, 0, :, None, None]
    torch.testing.assert_close(ours[2] - no_memory, expected[2], **PART)
