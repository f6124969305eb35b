"""Pictures of shapes: the same everywhere, and true."""

import copy
import hashlib
import pickle
from functools import cache

import numpy as np
import pytest
from torch.utils.data import DataLoader

from sam3_hf.datasets.examples import ImageExample
from sam3_hf.datasets.shapes.colours import COLOURS, MAIN_COLOURS, RANGES, from_hsv
from sam3_hf.datasets.shapes.dataset import ShapesDataset
from sam3_hf.datasets.shapes.figures import TEXTURES
from sam3_hf.datasets.shapes.phrases import NOUNS, plural
from sam3_hf.datasets.shapes.plans import SIZES
from sam3_hf.datasets.shapes.prompts import VISUAL, Ask
from sam3_hf.datasets.shapes.scene import LEAST_VISIBLE, Scene
from sam3_hf.datasets.shapes.silhouettes import MAIN_SHAPES, SHAPES

DATASET = ShapesDataset(seed=5, length=150, prompts_per_image=8, image_side=192)
SINGULAR = {plural(noun): noun for noun in (*SHAPES, *NOUNS)}
# Truth and prompts of the first scenes, as every machine must draw them.
RECORDED = "0d51fe2d20452954188d925f67bdc17c"


@cache
def scenes() -> tuple[tuple[Scene, tuple[Ask, ...]], ...]:
    return tuple(DATASET.scene(i) for i in range(len(DATASET)))


@cache
def examples() -> tuple[ImageExample, ...]:
    return tuple(DATASET[i] for i in range(60))


def words_of(text: str) -> dict[str, str]:
    """What a phrase says, read anew."""
    words = [
        SINGULAR.get(word, word).replace("gray", "grey") for word in text.split() if word not in ("a", "an", "the")
    ]
    kinds = {"size": ("small", "large"), "texture": TEXTURES, "colour": COLOURS, "shape": (*SHAPES, *NOUNS)}
    said = {name: word for word in words for name, known in kinds.items() if word in known}
    return said if len(said) == len(words) else {}


def is_meant(said: dict[str, str], figure: object) -> bool:
    return all(getattr(figure, name) == word for name, word in said.items() if word not in NOUNS)


class TestTheSameEverywhere:
    def test_scenes_and_prompts_are_as_recorded(self) -> None:
        digest = hashlib.sha256()
        for scene, asks in scenes()[:20]:
            digest.update(scene.ids.tobytes())
            digest.update(repr([tuple(ask) for ask in asks]).encode())
        assert digest.hexdigest()[:32] == RECORDED

    def test_an_example_does_not_depend_on_what_was_asked_before(self) -> None:
        first, again = ShapesDataset(5, 150, 8, 192)[7], DATASET[7]
        assert first.image.tobytes() == again.image.tobytes()
        assert [prompt.text for prompt in first.prompts] == [prompt.text for prompt in again.prompts]

    def test_another_seed_gives_other_scenes(self) -> None:
        others = {ShapesDataset(6, 20, 8, 192)[i].image.tobytes() for i in range(20)}
        assert not others & {example.image.tobytes() for example in examples()}

    def test_a_longer_dataset_begins_with_the_same_scenes(self) -> None:
        assert ShapesDataset(5, 1000, 8, 192)[3].image.tobytes() == DATASET[3].image.tobytes()

    def test_it_survives_pickling_and_workers(self) -> None:
        dataset = pickle.loads(pickle.dumps(DATASET))
        assert dataset == copy.deepcopy(DATASET)
        loader = DataLoader(ShapesDataset(5, 4, 8, 192), batch_size=2, num_workers=1, collate_fn=list)
        loaded = [example.image.tobytes() for batch in loader for example in batch]
        assert loaded == [example.image.tobytes() for example in examples()[:4]]


class TestTruth:
    @pytest.mark.parametrize("colour", COLOURS)
    def test_most_pixels_of_a_figure_are_nearest_to_its_colour(self, colour: str) -> None:
        palette = {word: middle_of(word) for word in COLOURS}
        figures = [
            (scene.pixels[mask], figure)
            for scene, _ in scenes()
            for mask, figure in zip(scene.masks, scene.figures, strict=True)
            if figure.colour == colour and figure.texture == "plain" and figure.outline is None
        ]
        assert len(figures) >= (8 if colour in MAIN_COLOURS else 2)
        agreed = [nearest(np.median(pixels, axis=0), palette) == colour for pixels, _ in figures]
        assert np.mean(agreed) >= 0.9

    def test_every_phrase_means_all_figures_that_it_describes_and_no_others(self) -> None:
        checked = 0
        for scene, asks in scenes():
            for ask in asks:
                said = words_of(ask.text)
                if said and not ask.examples:
                    checked += 1
                    assert ask.targets == tuple(i for i, f in enumerate(scene.figures) if is_meant(said, f)), ask.text
        assert checked > 500

    def test_examples_mean_all_figures_of_their_kind(self) -> None:
        for scene, asks in scenes():
            for ask in (ask for ask in asks if ask.examples):
                like = {scene.figures[i].kind for i, label in zip(ask.examples, ask.labels, strict=True) if label}
                unlike = {scene.figures[i].kind for i, label in zip(ask.examples, ask.labels, strict=True) if not label}
                (kind,) = like
                assert kind not in unlike
                assert ask.targets == tuple(i for i, figure in enumerate(scene.figures) if figure.kind == kind)

    def test_no_two_figures_share_a_pixel_and_each_can_be_recognized(self) -> None:
        for scene, _ in scenes():
            assert scene.masks.sum(axis=0).max(initial=0) <= 1
            for mask, figure in zip(scene.masks, scene.figures, strict=True):
                assert mask.sum() > LEAST_VISIBLE * 0.2 * (2 * figure.radius) ** 2

    def test_small_and_large_lie_apart(self) -> None:
        for scene, _ in scenes():
            for figure in scene.figures:
                low, high = SIZES[figure.size]
                assert low - 1e-6 <= 2 * figure.radius / min(scene.ids.shape) <= high + 1e-6
        assert SIZES["small"][1] < SIZES[""][0] < SIZES[""][1] < SIZES["large"][0]

    def test_a_size_is_not_asked_for_where_one_is_between(self) -> None:
        for scene, asks in scenes():
            for ask in asks:
                said = words_of(ask.text)
                if "size" in said:
                    rest = {name: word for name, word in said.items() if name != "size"}
                    assert all(figure.size for figure in scene.figures if is_meant(rest, figure))

    def test_rings_and_circles_are_not_asked_for_together(self) -> None:
        for scene, asks in scenes():
            for ask in asks:
                said = words_of(ask.text)
                rival = {"circle": "ring", "ring": "circle"}.get(said.get("shape", ""))
                if rival and not ask.examples:
                    assert not [figure for figure in scene.figures if is_meant(said | {"shape": rival}, figure)]

    def test_boxes_fit_their_masks(self) -> None:
        for example in examples():
            for prompt in example.prompts:
                assert prompt.masks.shape == (len(prompt.boxes_xyxy_px), example.image.height, example.image.width)
                for (x1, y1, x2, y2), mask in zip(prompt.boxes_xyxy_px.astype(int), prompt.masks, strict=True):
                    inside = mask[y1:y2, x1:x2]
                    assert inside.sum() == mask.sum()
                    assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


class TestVariety:
    def test_positives_and_negatives_are_balanced(self) -> None:
        has_targets = [bool(ask.targets) for _, asks in scenes() for ask in asks]
        assert 0.42 < np.mean(has_targets) < 0.6

    def test_all_words_are_asked_for_with_and_without_success(self) -> None:
        asked: dict[bool, set[str]] = {True: set(), False: set()}
        for _, asks in scenes():
            for ask in asks:
                asked[bool(ask.targets)].update(words_of(ask.text).values())
        for words in asked.values():
            assert words >= {*MAIN_COLOURS, *MAIN_SHAPES, "small", "large", "striped", "dotted", "checkered"}

    def test_some_scenes_are_empty_some_hold_one_and_some_many(self) -> None:
        counts = [len(scene.figures) for scene, _ in scenes()]
        assert 0 in counts
        assert 1 in counts
        assert max(counts) >= 15

    def test_figures_overlap_here_and_there(self) -> None:
        touching = [scene for scene, _ in scenes() if (np.diff(scene.ids.astype(int)) * scene.ids[:, 1:] != 0).any()]
        assert len(touching) > 20

    def test_no_prompt_is_asked_twice_of_a_scene(self) -> None:
        for example in examples():
            texts = [prompt.text for prompt in example.prompts if not len(prompt.example_labels)]
            assert len(texts) == len(set(texts))

    def test_visual_prompts_have_examples_and_texts_mostly_none(self) -> None:
        prompts = [prompt for example in examples() for prompt in example.prompts]
        assert all(len(prompt.example_labels) for prompt in prompts if prompt.text == VISUAL)
        assert any(len(prompt.example_labels) for prompt in prompts if prompt.text != VISUAL)
        assert any((prompt.example_labels == 0).any() for prompt in prompts)

    def test_sizes_vary_unless_one_is_given(self) -> None:
        sizes = {ShapesDataset(0, 30)[i].image.size for i in range(30)}
        assert len(sizes) > 20
        assert any(width < height for width, height in sizes)
        assert any(width > height for width, height in sizes)
        assert {max(example.image.size) for example in examples()} == {192}


class TestDoor:
    @pytest.mark.parametrize(
        "numbers", [{"seed": -1}, {"length": -1}, {"prompts_per_image": 0}, {"image_side": 20}], ids=str
    )
    def test_impossible_numbers_are_refused(self, numbers: dict[str, int]) -> None:
        with pytest.raises(ValueError, match=str(next(iter(numbers.values())))):
            ShapesDataset(**{"seed": 0, "length": 1} | numbers)

    def test_it_ends_and_counts_from_the_end(self) -> None:
        dataset = ShapesDataset(5, 2, 2, 64)
        assert len(list(dataset)) == 2
        assert dataset[-1].image_id == 1
        with pytest.raises(IndexError, match="No scene 2 among 2"):
            dataset[2]


def middle_of(colour: str) -> np.ndarray:
    return np.asarray(from_hsv(*((low + high) / 2 for low, high in RANGES[colour])))


def nearest(tone: np.ndarray, palette: dict[str, np.ndarray]) -> str:
    """The colour word whose middle has the most similar hue and lightness."""
    return min(palette, key=lambda word: float(np.abs(opponent(tone) - opponent(palette[word])).sum()))


def opponent(tone: np.ndarray) -> np.ndarray:
    """Direction in red-green and yellow-blue, how far from grey, and lightness, all about 0..1."""
    red, green, blue = np.asarray(tone, float) / 255
    hue = complex(red - (green + blue) / 2, (green - blue) * 0.866)
    direction = hue / max(abs(hue), 0.15)
    lightness = 0.3 * red + 0.59 * green + 0.11 * blue
    return np.asarray([1.5 * direction.real, 1.5 * direction.imag, abs(hue), lightness])
