import pytest
import torch
from tests.support import tracker_golden as recorded
from tests.support.tolerances import SAME_MASKS

from sam3_hf.ops.tokens import PaddedTokens
from sam3_hf.tracker import rows
from sam3_hf.tracker.mask_decoder import ImageLevels, MaskDecoder, ObjectMasks
from sam3_hf.tracker.prompt_encoder import EncodedPrompt

LEVELS = (torch.randn(1, 32, 48, 48), torch.randn(1, 32, 24, 24), torch.randn(1, 32, 12, 12), torch.randn(1, 32, 6, 6))


@pytest.fixture
def decoder() -> MaskDecoder:
    return recorded.shared_model().mask_decoder


def decode(decoder: MaskDecoder, several: bool, objects: int = 2) -> ObjectMasks:
    tokens = PaddedTokens(torch.randn(objects, 3, 32), torch.ones(objects, 3, dtype=torch.bool))
    with torch.no_grad():
        image = decoder.narrow(LEVELS)
        return decoder(image, torch.randn(1, 32, 12, 12), EncodedPrompt(tokens, torch.zeros(1, 32, 1, 1)), several)


def test_levels_are_narrowed_once_and_the_coarsest_is_left_out(decoder: MaskDecoder) -> None:
    image: ImageLevels = decoder.narrow(LEVELS)
    assert [tuple(level.shape[1:]) for level in image] == [(4, 48, 48), (8, 24, 24), (32, 12, 12)]
    assert image.patches is LEVELS[2]


def test_several_masks_or_one(decoder: MaskDecoder) -> None:
    several, one = decode(decoder, several=True), decode(decoder, several=False)
    assert several.logits.shape == (2, 3, 48, 48)
    assert one.logits.shape == (2, 1, 48, 48)
    assert (several.iou_scores.shape, one.iou_scores.shape) == ((2, 3), (2, 1))
    assert (several.tokens.shape, one.tokens.shape) == ((2, 3, 32), (2, 1, 32))


def test_qualities_are_probabilities(decoder: MaskDecoder) -> None:
    scores = decode(decoder, several=True, objects=50).iou_scores
    assert 0 <= scores.min() < scores.max() <= 1


@pytest.mark.parametrize("images", [1, 2])
def test_objects_one_by_one_in_bands_equal_all_at_once(
    images: int, decoder: MaskDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    tokens = PaddedTokens(torch.randn(4, 3, 32), torch.tensor([[True, True, number % 2 == 0] for number in range(4)]))
    prompt, positions = EncodedPrompt(tokens, torch.randn(1, 32, 1, 1)), torch.randn(1, 32, 12, 12)
    levels = tuple(torch.randn(images, *level.shape[1:]) for level in LEVELS)
    with torch.no_grad():
        image = decoder.narrow(levels)
        together = decoder(image, positions, prompt, True)
        monkeypatch.setattr(rows, "_AT_ONCE", 2000)
        apart = decoder(image, positions, prompt, True)
    for found, expected in zip(apart, together, strict=True):
        torch.testing.assert_close(found, expected, **SAME_MASKS)
