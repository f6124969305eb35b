import socket

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.processing_sam3 import Sam3Processor
from tests.support.checkpoints import TINY
from tests.support.pixels import pixel_tolerance
from tests.support.tokenizer import full_tokenizer

RNG = np.random.default_rng(0)
KITCHEN, CAT = (Image.fromarray(RNG.integers(0, 256, size, dtype=np.uint8)) for size in [(150, 200, 3), (233, 121, 3)])
OPTIONS = {"size": {"height": 28, "width": 28}, "mask_size": {"height": 8, "width": 8}}
BOX = [10, 15, 100, 120]


@pytest.fixture(scope="module")
def processor():
    return Sam3Processor(Sam3ImageProcessor(**OPTIONS), full_tokenizer())


@pytest.fixture(scope="module")
def theirs():
    tokenizer = CLIPTokenizer(vocab=full_tokenizer().get_vocab(), merges=full_tokenizer()._merges, pad_token="!")
    return transformers.Sam3Processor(transformers.Sam3ImageProcessor(**OPTIONS), tokenizer)


class TestCalls:
    def test_a_text_prompt(self, processor):
        inputs = processor(images=KITCHEN, text="ear", return_tensors="pt").to("cpu")
        assert inputs.keys() == {"pixel_values", "original_sizes", "input_ids", "attention_mask"}
        assert inputs.pixel_values.shape == (1, 3, 28, 28)
        assert inputs.get("original_sizes").tolist() == [[150, 200]]
        assert inputs.input_ids.shape == inputs.attention_mask.shape == (1, 32)

    @pytest.mark.parametrize(
        "call",
        [
            {"images": KITCHEN, "text": "ear"},
            {"images": KITCHEN, "input_boxes": [[BOX]], "input_boxes_labels": [[1]]},
            {"images": KITCHEN, "input_boxes": [[BOX, [20, 30, 40, 50]]], "input_boxes_labels": [[1, 1]]},
            {"images": KITCHEN, "text": "handle", "input_boxes": [[BOX]], "input_boxes_labels": [[0]]},
            {"images": [CAT, KITCHEN], "text": ["ear", "dial"]},
            {
                "images": [CAT, KITCHEN],
                "text": ["laptop", None],
                "input_boxes": [None, [BOX]],
                "input_boxes_labels": [None, [1]],
            },
            {"images": [CAT, KITCHEN], "text": ["a", "b"], "input_boxes": [[BOX], [BOX, BOX]]},
            {"images": KITCHEN},
            {"text": "ear"},
            {"original_sizes": [[150, 200]], "text": "ear", "input_boxes": torch.tensor([[BOX]])},
            {"images": KITCHEN, "segmentation_maps": np.ones((150, 200), dtype=np.uint8), "text": "ear"},
        ],
    )
    def test_documented_calls_equal_transformers(self, processor, theirs, call):
        ours, expected = processor(**call, return_tensors="pt"), theirs(**call, return_tensors="pt")
        assert ours.keys() == expected.keys()
        if "input_boxes" in expected:  # they write padding in another way, which nothing reads
            expected["input_boxes"][expected["input_boxes_labels"] == -10] = -10
        for name, values in expected.items():
            tolerance = pixel_tolerance() if name == "pixel_values" else 1e-6
            torch.testing.assert_close(ours[name], values.to(ours[name].dtype), atol=tolerance, rtol=0)

    def test_boxes_of_the_reference_cases_are_found_again(self, processor):
        recorded = load_file(TINY / "inputs.safetensors")
        for case in ("box_pos_neg", "box_outside_and_tiny", "batch_ragged_boxes", "batch_one_without_boxes"):
            expected, labels = recorded[f"{case}.input_boxes"], recorded[f"{case}.input_boxes_labels"]
            expected[labels == -10] = -10  # nothing reads padding
            sizes = [[(150, 200), (233, 121)][image] for image in recorded[f"{case}.image_index"].tolist()]
            scale = torch.tensor([[width, height, width, height] for height, width in sizes])[:, None]
            centre, half = expected[..., :2], expected[..., 2:] / 2
            boxes = torch.where(expected == -10, expected, torch.cat([centre - half, centre + half], -1) * scale)
            inputs = processor(
                text=["cat"] * len(sizes),
                input_boxes=boxes,
                input_boxes_labels=labels,
                original_sizes=sizes,
                return_tensors="pt",
            )
            torch.testing.assert_close(inputs["input_boxes"], expected, atol=1e-6, rtol=0)
            assert torch.equal(inputs["input_boxes_labels"], labels)

    def test_many_texts_for_one_image_share_it(self, processor):
        inputs = processor(images=KITCHEN, text=["ear", "eye", "nose"], return_tensors="pt")
        assert inputs["pixel_values"].shape[0] == 1
        assert inputs["input_ids"].shape == (3, 32)
        assert inputs["image_index"].tolist() == [0, 0, 0]
        assert inputs["image_index"].dtype == torch.int64

    def test_texts_grouped_by_image_know_their_image_and_its_size(self, processor):
        inputs = processor(
            images=[KITCHEN, CAT],
            text=[["cat", "dog"], ["ear"]],
            input_boxes=[[None, [BOX]], [[BOX]]],
            return_tensors="pt",
        )
        assert inputs["image_index"].tolist() == [0, 0, 1]
        assert inputs["input_boxes_labels"].tolist() == [[-10], [1], [1]]
        width, height = 90, 105
        sizes = inputs["input_boxes"][1:, 0, 2:]
        torch.testing.assert_close(sizes, torch.tensor([[width / 200, height / 150], [width / 121, height / 233]]))

    def test_one_text_for_many_images_is_one_row(self, processor):
        inputs = processor(images=[KITCHEN, CAT], text="ear", return_tensors="pt")
        assert inputs["input_ids"].shape == (1, 32)
        assert "image_index" not in inputs

    def test_one_text_with_boxes_is_repeated(self, processor):
        inputs = processor(images=[KITCHEN, CAT], text="ear", input_boxes=[[BOX], None], return_tensors="pt")
        assert inputs["input_ids"].shape == (2, 32)
        assert "image_index" not in inputs

    def test_an_explicit_index_is_passed_on(self, processor):
        inputs = processor(text=["a", "b"], image_index=torch.tensor([1, 0]), return_tensors="pt")
        assert inputs["image_index"].tolist() == [1, 0]
        inputs = processor(images=[KITCHEN] * 3, text=["a", "b"], image_index=[2, 0], return_tensors="pt")
        assert inputs["image_index"].tolist() == [2, 0]

    def test_rows_without_any_box_give_an_empty_tensor(self, processor):
        inputs = processor(images=KITCHEN, text="ear", input_boxes=[None], return_tensors="pt")
        assert inputs["input_boxes"].shape == (1, 0, 4)
        assert inputs["input_boxes_labels"].shape == (1, 0)

    def test_half_precision_casts_pixels_and_boxes_only(self, processor):
        inputs = processor(images=KITCHEN, text="ear", input_boxes=[[BOX]], return_tensors="pt").to(torch.bfloat16)
        assert {name for name, values in inputs.items() if values.dtype == torch.bfloat16} == {
            "pixel_values",
            "input_boxes",
        }

    def test_everything_goes_to_the_device(self, processor):
        inputs = processor(images=KITCHEN, text="ear", input_boxes=[[BOX]], device="meta", return_tensors="pt")
        assert all(values.device.type == "meta" for values in inputs.values())

    def test_results_come_as_arrays_or_lists_too(self, processor):
        arrays = processor(images=KITCHEN, text="ear", input_boxes=[[BOX]], return_tensors="np")
        assert all(isinstance(values, np.ndarray) for values in arrays.values())
        lists = processor(images=[KITCHEN, CAT], text=["a", "b"], do_resize=False)
        assert lists["original_sizes"] == [[150, 200], [233, 121]]
        assert all(isinstance(values, list) for values in lists.values())

    def test_image_options_reach_the_images(self, processor):
        assert processor(images=KITCHEN, size=56, return_tensors="pt")["pixel_values"].shape == (1, 3, 56, 56)

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            ({}, ValueError, "at least one of"),
            ({"text": ["a", None], "images": [KITCHEN, CAT]}, ValueError, "neither"),
            ({"images": [KITCHEN] * 3, "text": ["a", "b"]}, ValueError, "3 images"),
            ({"input_boxes": [[BOX]]}, ValueError, "original_sizes"),
            ({"images": KITCHEN, "input_boxes": [BOX]}, ValueError, "3 levels"),
            ({"images": KITCHEN, "text": "a", "colour": 1}, TypeError, "colour"),
            ({"text": "a", "colour": 1}, TypeError, "colour"),
            ({"text": "a", "segmentation_maps": np.zeros((5, 5))}, ValueError, "without images"),
            ({"images": KITCHEN, "original_sizes": [[5, 5]]}, ValueError, "leave it out"),
            ({"text": "a", "original_sizes": [5, 5]}, ValueError, "original_sizes"),
            ({"text": "a", "return_tensors": "tf"}, ValueError, "return_tensors"),
        ],
    )
    def test_calls_that_make_no_sense_are_refused(self, processor, call, error, message):
        with pytest.raises(error, match=message):
            processor(**call)


class TestFiles:
    def test_what_is_saved_loads_here_and_in_transformers(self, processor, tmp_path):
        processor.save_pretrained(tmp_path)
        call = {"images": KITCHEN, "text": "ear", "input_boxes": [[BOX]], "return_tensors": "pt"}
        expected = processor(**call)
        loaded = Sam3Processor.from_pretrained(tmp_path)
        assert type(loaded.image_processor) is Sam3ImageProcessor
        for name, values in loaded(**call).items():
            assert torch.equal(values, expected[name])
        plain = transformers.Sam3Processor.from_pretrained(tmp_path)(**call)
        torch.testing.assert_close(plain["pixel_values"], expected["pixel_values"], atol=pixel_tolerance(), rtol=0)

    def test_what_transformers_saves_loads_without_network(self, theirs, tmp_path, monkeypatch):
        theirs.save_pretrained(tmp_path)
        monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("The network was used."))
        processor = Sam3Processor.from_pretrained(tmp_path)
        assert type(processor.image_processor) is Sam3ImageProcessor
        assert processor.image_processor.size == OPTIONS["size"]
        assert processor(text="!^", return_tensors="pt")["input_ids"][0, :4].tolist() == [49406, 0, 317, 49407]

    def test_image_options_change_the_image_processor_and_nothing_else(self, processor, tmp_path):
        processor.save_pretrained(tmp_path)
        loaded = Sam3Processor.from_pretrained(tmp_path, size={"height": 560, "width": 560})
        assert loaded.image_processor.size == {"height": 560, "width": 560}
        assert "size" not in loaded.tokenizer.init_kwargs
        assert loaded(images=KITCHEN, return_tensors="pt")["pixel_values"].shape == (1, 3, 560, 560)

    def test_own_values_are_kept(self, tmp_path):
        Sam3Processor(Sam3ImageProcessor(), full_tokenizer(), 560, point_pad_value=-7).save_pretrained(tmp_path)
        loaded = Sam3Processor.from_pretrained(tmp_path)
        assert (loaded.target_size, loaded.point_pad_value) == (560, -7)

    def test_decoding_is_the_tokenizers(self, processor):
        assert processor.decode([2368]) == "cat"
        assert processor.batch_decode([[2368], [1929]]) == ["cat", "dog"]
        assert {"pixel_values", "input_ids", "attention_mask", "input_boxes"} <= set(processor.model_input_names)


def test_results_are_the_image_processors(processor):
    outputs = transformers.modeling_outputs.ModelOutput(
        pred_logits=torch.ones(1, 2),
        presence_logits=torch.ones(1, 1),
        pred_boxes=torch.rand(1, 2, 4),
        pred_masks=torch.ones(1, 2, 8, 8),
        semantic_seg=torch.ones(1, 1, 8, 8),
    )
    (result,) = processor.post_process_instance_segmentation(outputs, threshold=0.1, target_sizes=[(16, 20)])
    assert result["masks"].shape == (2, 16, 20)
    assert len(processor.post_process_object_detection(outputs, threshold=0.1)[0]["boxes"]) == 2
    assert processor.post_process_semantic_segmentation(outputs, target_sizes=[(16, 20)])[0].sum() == 320


numbers = st.one_of(
    st.integers(-50, 300), st.floats(-50, 300), st.sampled_from([float("nan"), float("inf"), None, "x", True])
)


def lists_of(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(inner, max_size=4)


anything = st.recursive(numbers, lists_of, max_leaves=12)
boxes = st.builds(
    lambda x, y, w, h: [x, y, x + w, y + h],
    st.floats(-9, 300),
    st.integers(-9, 300),
    st.floats(0, 300),
    st.integers(0, 300),
)
rows_of_boxes = st.one_of(st.none(), st.lists(boxes, max_size=3))
texts = st.one_of(st.none(), st.text(max_size=20))


@st.composite
def arrays(draw):
    shape = draw(st.lists(st.integers(0, 5), max_size=4))
    dtype = draw(st.sampled_from(["u1", "i8", "f4", "f8", "f2", "u2", "?", "O", "c8", "U1"]))
    values = np.full(shape, draw(st.sampled_from([0, 1, 0.5, 200, -1, 300])))
    values = values.astype(dtype)
    return torch.from_numpy(values) if dtype not in ("O", "U1") and draw(st.booleans()) else values


def check(processor, **call):
    """Inputs are either understood or refused with a reason."""
    try:
        inputs, reason = processor(return_tensors="pt", **call), None
    except (ValueError, TypeError) as error:
        inputs, reason = {}, str(error)
    assert inputs or reason
    assert all(torch.is_tensor(values) for values in inputs.values())
    per_row = {"input_ids", "input_boxes", "input_boxes_labels", "image_index"} & inputs.keys()
    assert len({len(inputs[name]) for name in per_row}) <= 1


quickly = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quickly
@given(text=st.one_of(texts, anything), input_boxes=anything, input_boxes_labels=anything)
def test_no_prompt_breaks_the_processor(processor, text, input_boxes, input_boxes_labels):
    check(processor, text=text, input_boxes=input_boxes, original_sizes=[[150, 200]])
    check(
        processor,
        text=text,
        input_boxes=input_boxes,
        input_boxes_labels=input_boxes_labels,
        original_sizes=[[9, 9]] * 2,
    )


@quickly
@given(images=st.one_of(arrays(), st.lists(arrays(), max_size=2), anything), maps=st.one_of(st.none(), arrays()))
def test_no_image_breaks_the_processor(processor, images, maps):
    check(processor, images=images, segmentation_maps=maps)


@quickly
@given(rows=st.lists(st.tuples(st.text(max_size=20), rows_of_boxes), min_size=1, max_size=4), data=st.data())
def test_valid_prompts_give_one_row_each(processor, rows, data):
    texts = [text for text, _ in rows]
    boxes = [row for _, row in rows]
    sizes = [[150, 200]] if data.draw(st.booleans()) else [[150, 200]] * len(rows)
    inputs = processor(text=texts, input_boxes=boxes, original_sizes=sizes, return_tensors="pt")
    width = max(len(row or []) for row in boxes)
    assert inputs["input_boxes"].shape == (len(rows), width, 4)
    assert (inputs["input_boxes_labels"] == 1).sum(1).tolist() == [len(row or []) for row in boxes]
    assert inputs["input_ids"].shape == (len(rows), 32)
    assert ("image_index" in inputs) == (len(sizes) != len(rows))
