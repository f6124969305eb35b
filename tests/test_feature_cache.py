import pytest
import torch

from sam3_hf.feature_cache import FeatureCache
from sam3_hf.modeling_sam3 import Sam3Model
from tests.support import golden

IDS = torch.tensor([[60, 5, 6, 61, 0, 0], [60, 7, 61, 0, 0, 0], [60, 5, 6, 61, 0, 0]])
MASK = IDS.ne(0).long()


@pytest.fixture
def model() -> Sam3Model:
    return golden.tiny_model()


@pytest.fixture
def encoded(model: Sam3Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each call of the model encodes."""
    calls: list[int] = []
    for name in ("get_text_features", "get_vision_features"):
        whole = getattr(model, name)

        def counting(first: torch.Tensor, *rest: torch.Tensor, whole=whole) -> object:
            calls.append(len(first))
            return whole(first, *rest)

        monkeypatch.setattr(model, name, counting)
    return calls


def test_only_new_texts_are_encoded_and_features_stay_the_same(model: Sam3Model, encoded: list[int]) -> None:
    cache = FeatureCache(model)
    with torch.no_grad():
        expected = model.get_text_features(IDS, MASK)
    encoded.clear()
    first = cache.text(IDS[:1], MASK[:1])
    all_of_them = cache.text(IDS, MASK)
    assert encoded == [1, 1]
    torch.testing.assert_close(first.pooler_output, expected.pooler_output[:1])
    torch.testing.assert_close(all_of_them.pooler_output, expected.pooler_output)
    assert all_of_them.attention_mask.equal(MASK.bool())


def test_the_same_pixels_are_encoded_once_and_others_anew(model: Sam3Model, encoded: list[int]) -> None:
    cache = FeatureCache(model)
    pixels = golden.case("text_box_pos_neg").inputs["pixel_values"]
    assert cache.vision(pixels) is cache.vision(pixels.clone())
    changed = pixels.clone()
    changed[0, 0, 0, 0] += 1e-3
    assert cache.vision(changed) is not cache.vision(pixels)
    assert len(encoded) == 2


def test_the_least_recently_used_is_forgotten_when_memory_ends(model: Sam3Model, encoded: list[int]) -> None:
    one = FeatureCache(model)
    one.text(IDS[:1], MASK[:1])
    cache = FeatureCache(model, limit=2 * one.size)
    other = IDS.clone()
    other[:, 1] = 9
    for ids in (IDS[:1], IDS[1:2], IDS[:1], other[:1]):
        cache.text(ids, MASK[:1])
    assert len(cache) == 2
    assert cache.size == 2 * one.size
    encoded.clear()
    cache.text(IDS[:1], MASK[:1])
    assert encoded == []
    cache.text(IDS[1:2], MASK[:1])
    assert encoded == [1]


def test_without_memory_nothing_is_kept(model: Sam3Model, encoded: list[int]) -> None:
    cache = FeatureCache(model, limit=0)
    assert cache.text(IDS[:1], MASK[:1]).pooler_output.equal(cache.text(IDS[:1], MASK[:1]).pooler_output)
    assert (len(cache), cache.size, encoded) == (0, 0, [1, 1])


def test_after_clearing_features_follow_changed_weights(model: Sam3Model) -> None:
    cache = FeatureCache(model)
    before = cache.text(IDS, MASK).pooler_output
    with torch.no_grad():
        model.text_projection.bias += 1
    cache.clear()
    assert not cache.text(IDS, MASK).pooler_output.equal(before)


def test_a_negative_limit_is_refused(model: Sam3Model) -> None:
    with pytest.raises(ValueError, match="negative"):
        FeatureCache(model, limit=-1)
