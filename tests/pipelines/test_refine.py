import pytest
import torch
from PIL import Image
from tests.support import golden
from tests.support import tracker_golden as recorded

from sam3_hf.ops.masks import mask_prompt
from sam3_hf.pipelines.refine import MaskEditor


@pytest.fixture
def image() -> Image.Image:
    with Image.open(recorded.IMAGE) as opened:
        return opened.convert("RGB")


@pytest.fixture
def concept_mask() -> torch.Tensor:
    mask = torch.zeros(recorded.SIZE, dtype=torch.bool)
    mask[30:90, 50:120] = True
    return mask


def editor(image: Image.Image, **options: object) -> MaskEditor:
    return MaskEditor(recorded.shared_model(), recorded.tiny_processor(), image, **options)


def test_the_first_click_gives_the_best_of_what_it_may_mean(image: Image.Image) -> None:
    session, case = editor(image), recorded.case("point")
    assert session.mask is None
    assert session.score is None
    mask = session.click(82, 55.5)
    best = int(case.outputs["iou_scores"][0].argmax())
    expected = case.outputs["masks_original_size_holes_filled"][best].bool()
    assert (mask != expected).float().mean() < 0.001
    assert session.score == pytest.approx(float(case.outputs["iou_scores"][0, best]), abs=1e-5)


def test_a_concept_result_is_corrected_by_clicks(image: Image.Image, concept_mask: torch.Tensor) -> None:
    session = editor(image, mask=concept_mask)
    assert (session.mask != concept_mask).float().mean() < 0.02
    mask = session.click(40, 60, positive=False)
    inputs = recorded.tiny_processor()(image, input_points=[[[[40, 60]]]], input_labels=[[[0]]], return_tensors="pt")
    with torch.no_grad():
        outputs = recorded.shared_model()(
            **inputs, input_masks=mask_prompt(concept_mask[None], (48, 48)), multimask_output=False
        )
    expected = recorded.tiny_processor().post_process_masks(outputs.pred_masks, [recorded.SIZE])[0][0, 0]
    assert mask.equal(expected)


def test_each_click_is_added_and_can_be_taken_back(image: Image.Image) -> None:
    session = editor(image)
    first = session.click(82, 55)
    second = session.click(30, 40, positive=False)
    third = session.draw_box(10, 10, 150, 100)
    assert not second.equal(first)
    assert not third.equal(second)
    assert session.undo().equal(second)
    assert session.undo().equal(first)
    assert session.undo() is None
    assert session.undo() is None
    assert session.click(82, 55).equal(first)


def test_several_things_said_at_once_give_one_answer(image: Image.Image) -> None:
    session, case = editor(image), recorded.case("box_and_points")
    mask = session.say(points=[(82, 55.5), (36, 123)], labels=[1, 0], box=(40, 22.5, 132, 106.5))
    assert (mask != case.outputs["masks_original_size_holes_filled"][0].bool()).float().mean() < 0.001
    assert session.undo() is None


def test_the_vit_of_a_concept_result_is_not_run_again(image: Image.Image) -> None:
    concepts = golden.tiny_model()
    pixels = recorded.tiny_processor()(image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        vision = concepts.get_vision_features(pixels)
    seen = []
    handle = recorded.shared_model().vision_encoder.backbone.register_forward_hook(lambda *_: seen.append(1))
    shared = editor(image, vision_embeds=vision).click(82, 55)
    assert not seen
    assert shared.equal(editor(image).click(82, 55))
    handle.remove()
    assert len(seen) == 1


def test_what_cannot_be_is_refused_and_leaves_the_mask_as_it_was(image: Image.Image) -> None:
    session = editor(image)
    mask = session.click(82, 55)
    with pytest.raises(ValueError, match="lies outside"):
        session.click(201, 3)
    with pytest.raises(ValueError, match="one label"):
        session.say(points=[(1, 1)])
    assert session.mask.equal(mask)
    with pytest.raises(ValueError, match=r"image's size \(150, 200\); got shape \(20, 20\)"):
        editor(image, mask=torch.zeros(20, 20))
