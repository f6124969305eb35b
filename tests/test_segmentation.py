import numpy as np
import pytest
import torch

from sam3_hf.results import CodedInstance
from sam3_hf.segmentation import make_prompts, segment
from tests.support.folders import finding_model, tiny_processor
from tests.support.photographs import photograph
from tests.support.tolerances import SAME_MODEL

THRESHOLD = 0.3


@pytest.fixture(scope="module")
def model():
    return finding_model()


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    return tiny_processor(tmp_path_factory.mktemp("merges"))


@pytest.fixture
def find(model, processor):
    def find(images, *arguments, **options):
        options = {"threshold": THRESHOLD, **options}
        return list(segment(images, *arguments, model=model, processor=processor, **options))

    return find


def scores(result):
    return torch.tensor([instance.score for instance in result.instances])


def by_hand(model, processor, **inputs):
    """The documented calls, step by step."""
    inputs = processor(**inputs, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    return processor.post_process_instance_segmentation(
        outputs, threshold=THRESHOLD, target_sizes=inputs["original_sizes"].tolist()
    )


def test_results_equal_those_of_the_documented_calls(find, model, processor):
    image = photograph()
    (found,) = find(image, "ear")
    (expected,) = by_hand(model, processor, images=image, text="ear")
    order = expected["scores"].argsort(descending=True, stable=True)
    instances = found.results[0].instances
    assert found.size == (64, 96)
    assert len(instances) == len(order) > 3
    torch.testing.assert_close(scores(found.results[0]), expected["scores"][order], **SAME_MODEL)
    boxes = torch.tensor([instance.box_xyxy_px for instance in instances])
    torch.testing.assert_close(boxes, expected["boxes"][order], rtol=1e-4, atol=1e-2)
    masks = torch.stack([instance.mask for instance in instances])
    assert masks.dtype == torch.bool
    assert (masks != expected["masks"][order]).float().mean() < 1e-3


def test_many_texts_equal_each_alone(find):
    texts = [f"a number {i}" for i in range(10)]
    (together,) = find(photograph(), texts)
    assert [result.prompt.text for result in together.results] == texts
    for number in (0, 7, 8):  # the last is the first of the second round
        result = together.results[number]
        (alone,) = find(photograph(), texts[number])
        torch.testing.assert_close(scores(result), scores(alone.results[0]), **SAME_MODEL)


def test_the_image_is_encoded_once_and_texts_once_for_all_images(find, model, monkeypatch):
    calls = {"vision": 0, "text": 0}

    def count(name, part):
        forward = part.forward

        def counting(*arguments, **options):
            calls[name] += 1
            return forward(*arguments, **options)

        monkeypatch.setattr(part, "forward", counting)

    count("vision", model.vision_encoder)
    count("text", model.text_encoder)
    find([photograph(), photograph("coffee")], ["ear", "cup", "nose"] * 4)
    assert calls == {"vision": 2, "text": 1}


def test_boxes_refine_every_text(find, model, processor):
    image, box = photograph(), (10, 5, 60, 50)
    (found,) = find(image, ["ear", "nose"], [(*box, False)])
    assert all(result.prompt.boxes == ((*map(float, box), False),) for result in found.results)
    inputs = {"input_boxes": [[list(box)]], "input_boxes_labels": [[0]]}
    for text, result in zip(["ear", "nose"], found.results, strict=True):
        (expected,) = by_hand(model, processor, images=image, text=text, **inputs)
        torch.testing.assert_close(scores(result), expected["scores"].sort(descending=True)[0], **SAME_MODEL)


def test_boxes_alone_are_a_prompt(find, model, processor):
    image = photograph()
    (found,) = find(image, boxes=[(10, 5, 60, 50)])
    (expected,) = by_hand(model, processor, images=image, input_boxes=[[[10, 5, 60, 50]]])
    assert found.results[0].prompt.text is None
    torch.testing.assert_close(scores(found.results[0]), expected["scores"].sort(descending=True)[0], **SAME_MODEL)


def test_results_come_one_by_one_from_any_form_of_images(model, processor, tmp_path):
    path = tmp_path / "cat.png"
    photograph().save(path)
    read = []

    def images():
        for image in (path, str(path), photograph(), np.asarray(photograph())):
            read.append(image)
            yield image

    found = segment(images(), "ear", model=model, processor=processor, threshold=THRESHOLD)
    first = next(found)
    assert len(read) == 1
    assert not torch.is_inference_mode_enabled()
    for other in found:
        assert scores(other.results[0]).equal(scores(first.results[0]))
    assert len(list(segment(path, "ear", model=model, processor=processor))) == 1


def test_pixels_count_from_the_upright_image(find, tmp_path):
    exif = photograph().getexif()
    exif[0x0112] = 6
    turned = photograph().rotate(90, expand=True)
    turned.save(tmp_path / "turned.png", exif=exif)
    (found,), (upright,) = find(tmp_path / "turned.png", "ear"), find(photograph(), "ear")
    assert found.size == (64, 96)
    assert found.results[0].instances[0].mask.equal(upright.results[0].instances[0].mask)


def test_nothing_found_is_an_empty_list(find):
    (found,) = find(photograph(), "ear", threshold=1.0)
    assert found.results[0].instances == []


@pytest.mark.parametrize(
    ("text", "boxes", "message"),
    [
        (None, None, "Pass a text or a box"),
        ([], [], "Pass a text or a box"),
        ("", None, "must say what to look for"),
        (["ear", " \t\u3000"], None, "must say what to look for"),
        (None, [(1, 2, 3)], "A box is x1, y1, x2, y2"),
        (None, [(1, 2, 3, 4, 1, 1)], "A box is x1, y1, x2, y2"),
        (None, [(5, 0, 5, 9)], "x1 < x2"),
        (None, [(0, 9, 5, 0)], "x1 < x2"),
        (None, [(0, 0, float("nan"), 9)], "finite"),
        (None, [(0, 0, float("inf"), 9)], "finite"),
        (None, [(0, 0, 9, 9, False)], "negative box needs"),
    ],
)
def test_a_prompt_that_says_nothing_is_refused_at_once(find, text, boxes, message):
    with pytest.raises(ValueError, match=message):
        find(photograph(), text, boxes)


@pytest.mark.parametrize("name", ["threshold", "mask_threshold"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused_by_name(find, name, value):
    with pytest.raises(ValueError, match=f"^{name} must lie in 0..1"):
        find(photograph(), "ear", **{name: value})


@pytest.mark.parametrize("box", [(96, 0, 120, 10), (-9, 0, 0, 10), (0, 64, 10, 70), (0, -5, 10, 0)])
def test_a_box_outside_the_image_is_refused(find, box):
    with pytest.raises(ValueError, match="lies outside the image, which is 96 wide and 64 high"):
        find(photograph(), boxes=[box])


def test_a_box_that_reaches_outside_is_a_prompt(find):
    assert len(find(photograph(), boxes=[(-10, -10, 50, 50)])) == 1


def test_every_text_gets_all_boxes():
    prompts = make_prompts(["ear", "nose"], [[1, 2, 3, 4], [5, 6, 7, 8, 0]])
    assert [prompt.text for prompt in prompts] == ["ear", "nose"]
    assert prompts[0].boxes == prompts[1].boxes == ((1.0, 2.0, 3.0, 4.0, True), (5.0, 6.0, 7.0, 8.0, False))


def test_masks_can_stay_run_length_codes(find):
    (dense,), (coded,) = find(photograph(), "ear"), find(photograph(), "ear", masks="rle")
    assert isinstance(coded.results[0].instances[0], CodedInstance)
    assert coded.to_dict() == dense.to_dict()
