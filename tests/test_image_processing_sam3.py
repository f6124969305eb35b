import json
import math

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file
from transformers.modeling_outputs import ModelOutput
from transformers.utils.generic import TensorType

from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.inputs.reduced import read_reduced
from sam3_hf.ops.masks import encode_rle
from tests.support.checkpoints import TINY
from tests.support.masks import blobs
from tests.support.photographs import photograph
from tests.support.pixels import pixel_tolerance

INPUTS = load_file(TINY / "inputs.safetensors")
CASES = json.loads((TINY / "cases.json").read_text())
RNG = np.random.default_rng(0)
IMAGES = [
    RNG.integers(0, 256, size, dtype=np.uint8) for size in [(150, 200, 3), (233, 121, 3), (60, 60, 3), (17, 301, 3)]
]
SIZE = {"height": 168, "width": 168}
OPTIONS = {"size": SIZE, "mask_size": {"height": 48, "width": 48}}


def pixel_values(images, **options):
    return Sam3ImageProcessor(**OPTIONS)(images, return_tensors="pt", **options)["pixel_values"]


class TestInputs:
    def test_pixels_are_those_of_the_original(self):
        images = [INPUTS["image_uint8.0"], INPUTS["image_uint8.1"]]
        inputs = Sam3ImageProcessor(**OPTIONS)(images, return_tensors="pt")
        torch.testing.assert_close(inputs.pixel_values, INPUTS["pixel_values"], atol=1e-6, rtol=0)
        assert inputs.get("original_sizes").tolist() == CASES["image_sizes_hw"]

    def test_files_give_the_same_pixels(self):
        values = pixel_values([str(TINY / "image0.png"), Image.open(TINY / "image1.png")])
        torch.testing.assert_close(values, INPUTS["pixel_values"], atol=1e-6, rtol=0)

    @pytest.mark.parametrize("size", [(168, 168), (112, 224)])
    def test_pixels_and_labels_equal_transformers(self, size):
        options = {"size": {"height": size[0], "width": size[1]}, "mask_size": {"height": 30, "width": 47}}
        maps = [image[..., 0] // 50 for image in IMAGES]
        ours = Sam3ImageProcessor(**options)(IMAGES, maps, return_tensors="pt")
        theirs = transformers.Sam3ImageProcessor(**options)(IMAGES, maps, return_tensors="pt")
        torch.testing.assert_close(ours["pixel_values"], theirs["pixel_values"], atol=pixel_tolerance(), rtol=0)
        assert torch.equal(ours["labels"], theirs["labels"])
        assert ours["original_sizes"].tolist() == theirs["original_sizes"].tolist()

    @pytest.mark.parametrize("resample", [0, 3])
    def test_other_filters_equal_transformers(self, resample):
        theirs = transformers.Sam3ImageProcessor(size=SIZE, resample=resample)(IMAGES, return_tensors="pt")
        torch.testing.assert_close(pixel_values(IMAGES, resample=resample), theirs["pixel_values"], atol=1e-6, rtol=0)

    def test_float_images_equal_transformers(self):
        floats = [image.astype(np.float32) for image in IMAGES]
        theirs = transformers.Sam3ImageProcessor(size=SIZE)(floats, return_tensors="pt")["pixel_values"]
        torch.testing.assert_close(pixel_values(floats), theirs, atol=1e-5, rtol=0)
        theirs = transformers.Sam3ImageProcessor(size=SIZE, do_rescale=False)(
            [f / 255 for f in floats], return_tensors="pt"
        )
        ours = pixel_values([f / 255 for f in floats], do_rescale=False)
        torch.testing.assert_close(ours, theirs["pixel_values"], atol=1e-6, rtol=0)

    def test_a_batch_equals_its_images(self):
        batch = np.stack([IMAGES[0], IMAGES[0][::-1]])
        assert torch.equal(pixel_values(batch), pixel_values(list(batch)))
        assert torch.equal(pixel_values(torch.from_numpy(batch).permute(0, 3, 1, 2)), pixel_values(list(batch)))

    def test_defaults_are_those_of_the_released_model(self):
        processor = Sam3ImageProcessor()
        assert processor.size == {"height": 1008, "width": 1008}
        assert processor.mask_size == {"height": 288, "width": 288}
        assert (processor.image_mean, processor.image_std, processor.resample) == ([0.5] * 3, [0.5] * 3, 2)

    def test_a_call_can_change_options_for_itself(self):
        processor = Sam3ImageProcessor(**OPTIONS)
        assert processor(IMAGES[0], size=56, return_tensors="pt")["pixel_values"].shape == (1, 3, 56, 56)
        assert processor(IMAGES[0], return_tensors="pt")["pixel_values"].shape == (1, 3, 168, 168)

    def test_results_come_as_tensors_arrays_or_lists(self):
        processor = Sam3ImageProcessor(**OPTIONS)
        assert processor(IMAGES, return_tensors=TensorType.NUMPY)["original_sizes"].dtype == np.int64
        assert processor(IMAGES)["original_sizes"] == [[150, 200], [233, 121], [60, 60], [17, 301]]
        assert processor(IMAGES, do_resize=False)["pixel_values"][0].shape == (3, 150, 200)
        assert processor(IMAGES, return_tensors="pt", device="meta")["pixel_values"].device.type == "meta"

    def test_maps_must_fit_their_images(self):
        processor = Sam3ImageProcessor(**OPTIONS)
        for maps in ([np.zeros((5, 5))], [np.zeros((150, 200))] * 2):
            with pytest.raises(ValueError, match="needs a map of its size"):
                processor(IMAGES[0], maps)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"colour": 1}, TypeError),
            ({"do_pad": True}, ValueError),
            ({"do_center_crop": True}, ValueError),
            ({"data_format": "channels_last"}, ValueError),
            ({"size": {"shortest_edge": 5}}, ValueError),
            ({"return_tensors": "tf"}, ValueError),
        ],
    )
    def test_options_it_does_not_have_are_refused(self, options, error):
        with pytest.raises(error, match=next(iter(options))):
            Sam3ImageProcessor(**OPTIONS)(IMAGES[0], **options)


class TestFiles:
    RELEASED = {  # noqa: RUF012
        "crop_size": None,
        "data_format": "channels_first",
        "default_to_square": True,
        "device": None,
        "disable_grouping": None,
        "do_center_crop": None,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_pad": None,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "Sam3ImageProcessorFast",
        "image_std": [0.5, 0.5, 0.5],
        "input_data_format": None,
        "mask_pad_size": None,
        "mask_size": {"height": 288, "width": 288},
        "processor_class": "Sam3Processor",
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "return_tensors": None,
        "size": {"height": 1008, "width": 1008},
    }

    @pytest.mark.parametrize("nested", [True, False])
    def test_released_files_load(self, tmp_path, nested):
        name = "processor_config.json" if nested else "preprocessor_config.json"
        content = {"image_processor": self.RELEASED, "target_size": 1008} if nested else self.RELEASED
        (tmp_path / name).write_text(json.dumps(content))
        assert Sam3ImageProcessor.from_pretrained(tmp_path).to_dict() == Sam3ImageProcessor().to_dict()
        assert Sam3ImageProcessor.from_pretrained(tmp_path, size=560).size == {"height": 560, "width": 560}

    def test_what_is_saved_loads_here_and_in_transformers(self, tmp_path):
        Sam3ImageProcessor(**OPTIONS, image_mean=[0.1, 0.2, 0.3]).save_pretrained(tmp_path)
        expected = Sam3ImageProcessor(**OPTIONS, image_mean=[0.1, 0.2, 0.3])(IMAGES, return_tensors="pt")
        for loader in (Sam3ImageProcessor, transformers.Sam3ImageProcessor):
            values = loader.from_pretrained(tmp_path)(IMAGES, return_tensors="pt")["pixel_values"]
            torch.testing.assert_close(values, expected["pixel_values"], atol=pixel_tolerance(), rtol=0)

    def test_what_transformers_saves_loads(self, tmp_path):
        transformers.Sam3ImageProcessor(**OPTIONS).save_pretrained(tmp_path)
        assert Sam3ImageProcessor.from_pretrained(tmp_path).to_dict() == Sam3ImageProcessor(**OPTIONS).to_dict()


def recorded(case):
    outputs = load_file(TINY / "outputs.safetensors")
    names = {"pred_boxes_xyxy": "pred_boxes"}
    fields = ("pred_logits", "pred_boxes_xyxy", "pred_masks", "presence_logits", "semantic_seg")
    return ModelOutput({names.get(name, name): outputs[f"{case}.{name}"] for name in fields})


def made_up(rows=3, queries=6, dtype=torch.float32, **more):
    generator = torch.Generator().manual_seed(1)
    boxes = torch.rand(rows, queries, 4, generator=generator)
    return ModelOutput(
        pred_logits=torch.randn(rows, queries, generator=generator).to(dtype),
        presence_logits=torch.full((rows, 1), 3.0, dtype=dtype),
        pred_boxes=boxes.to(dtype),
        pred_masks=blobs(rows * queries, 48, 48).unflatten(0, (rows, queries)).to(dtype),
        semantic_seg=blobs(rows, 48, 48, seed=2)[:, None].to(dtype),
        **more,
    )


class TestResults:
    processor = Sam3ImageProcessor()

    @pytest.mark.parametrize("case", ["text_only", "box_pos_neg", "text_box_pos_neg"])
    def test_results_are_those_of_the_original(self, case):
        expected = load_file(TINY / "postprocessed.safetensors")
        thresholds = CASES["postprocess"][case]
        (result,) = self.processor.post_process_instance_segmentation(
            recorded(case), thresholds["score_threshold"], thresholds["mask_threshold"], target_sizes=[(150, 200)]
        )
        torch.testing.assert_close(result["scores"], expected[f"{case}.scores"], atol=1e-6, rtol=0)
        torch.testing.assert_close(result["boxes"], expected[f"{case}.boxes"], atol=1e-4, rtol=0)
        assert result["masks"].dtype == torch.bool
        different = (result["masks"] != expected[f"{case}.masks"].bool()).float().mean(dim=(1, 2))
        assert different.max() <= 1e-3

    @pytest.mark.parametrize("sizes", [None, [(150, 200), (33, 57), (48, 48)]])
    def test_objects_equal_transformers(self, sizes):
        theirs = transformers.Sam3ImageProcessor().post_process_instance_segmentation(made_up(), 0.4, 0.5, sizes)
        ours = self.processor.post_process_instance_segmentation(made_up(), 0.4, 0.5, sizes)
        boxes_only = self.processor.post_process_object_detection(made_up(), 0.4, sizes)
        for our, their, box in zip(ours, theirs, boxes_only, strict=True):
            torch.testing.assert_close(our["scores"], their["scores"])
            torch.testing.assert_close(our["boxes"], their["boxes"])
            assert our["masks"].shape == their["masks"].shape
            assert (our["masks"] != their["masks"]).float().mean() < 0.01  # theirs resizes probabilities
            assert torch.equal(box["boxes"], our["boxes"])
            assert box.keys() == {"scores", "boxes"}

    def test_no_object_is_an_empty_result_of_the_right_shape(self):
        result = self.processor.post_process_instance_segmentation(made_up(), 1.0, target_sizes=[(20, 30)] * 3)[0]
        assert [tuple(result[name].shape) for name in ("scores", "boxes", "masks")] == [(0,), (0, 4), (0, 20, 30)]
        assert result["masks"].dtype == torch.bool

    def test_presence_may_be_missing(self):
        outputs = made_up()
        outputs["presence_logits"] = None
        scores = self.processor.post_process_object_detection(outputs, threshold=-1)[0]["scores"]
        assert torch.equal(scores, outputs.pred_logits[0].sigmoid())

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_outputs_give_float32_results(self, dtype):
        sizes = [(150, 200)] * 3
        half = self.processor.post_process_instance_segmentation(made_up(dtype=dtype), 0.4, target_sizes=sizes)
        exact = made_up(dtype=dtype)
        for name in list(exact):
            exact[name] = exact[name].float()
        full = self.processor.post_process_instance_segmentation(exact, 0.4, target_sizes=sizes)
        for ours, theirs in zip(half, full, strict=True):
            assert all(torch.equal(ours[name], theirs[name]) for name in theirs)

    @pytest.mark.parametrize(
        "sizes",
        [
            [(20, 30), (40, 50)],
            ((20, 30), (40, 50)),
            np.array([[20, 30], [40, 50]]),
            torch.tensor([[20, 30], [40, 50]]),
        ],
    )
    def test_each_row_takes_the_size_of_its_image(self, sizes):
        outputs = made_up(image_index=torch.tensor([0, 1, 1]))
        results = self.processor.post_process_instance_segmentation(outputs, 0.1, target_sizes=sizes)
        assert [tuple(result["masks"].shape[1:]) for result in results] == [(20, 30), (40, 50), (40, 50)]
        maps = self.processor.post_process_semantic_segmentation(outputs, sizes)
        assert [tuple(found.shape) for found in maps] == [(20, 30), (40, 50), (40, 50)]

    def test_one_size_serves_all_rows(self):
        results = self.processor.post_process_instance_segmentation(made_up(), 0.1, target_sizes=[(20, 30)])
        assert all(result["masks"].shape[1:] == (20, 30) for result in results)

    @pytest.mark.parametrize(("index", "count"), [(None, 2), (None, 4), ([0, 1, 1], 1), ([0, 2, 1], 2)])
    def test_a_wrong_number_of_sizes_is_refused(self, index, count):
        outputs = made_up(image_index=None if index is None else torch.tensor(index))
        with pytest.raises(ValueError, match=f"Got {count} target sizes for 3 prompt rows"):
            self.processor.post_process_object_detection(outputs, target_sizes=[(20, 30)] * count)

    @pytest.mark.parametrize("threshold", [0, 0.3, 0.9, 1])
    def test_the_mask_threshold_is_a_probability(self, threshold):
        outputs = made_up()
        masks = self.processor.post_process_instance_segmentation(outputs, -1, threshold)[0]["masks"]
        assert torch.equal(masks, outputs.pred_masks[0].sigmoid() > threshold)

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
    def test_a_threshold_that_is_no_probability_is_refused(self, threshold):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            self.processor.post_process_instance_segmentation(made_up(), 0.1, threshold)
        with pytest.raises(ValueError, match=r"0\.\.1"):
            self.processor.post_process_semantic_segmentation(made_up(), threshold=threshold)

    @pytest.mark.parametrize("sizes", [None, [(150, 200)] * 3])
    def test_semantic_maps_are_resized_before_they_are_cut(self, sizes):
        outputs = made_up()
        maps = self.processor.post_process_semantic_segmentation(outputs, sizes)
        scored = self.processor.post_process_semantic_segmentation(outputs, sizes, return_segmentation_scores=True)
        theirs = transformers.Sam3ImageProcessor().post_process_semantic_segmentation(outputs, sizes)
        for ours, with_scores, their in zip(maps, scored, theirs, strict=True):
            assert ours.dtype == torch.int64
            assert (ours != their).float().mean() < 0.01
            assert torch.equal(with_scores.segmentation, ours)
            assert with_scores.segmentation_scores.shape == (1, *ours.shape)
            assert torch.equal(with_scores.segmentation_scores[0] > 0.5, ours.bool())

    def test_outputs_without_semantic_map_are_refused(self):
        with pytest.raises(ValueError, match="semantic_seg"):
            self.processor.post_process_semantic_segmentation(ModelOutput(pred_logits=torch.zeros(1, 2)))

    @pytest.mark.parametrize("sizes", [None, [(150, 200), (33, 57), (48, 48)]])
    def test_run_length_codes_hold_the_dense_masks(self, sizes):
        dense = self.processor.post_process_instance_segmentation(made_up(), 0.4, target_sizes=sizes)
        coded = self.processor.post_process_instance_segmentation(made_up(), 0.4, target_sizes=sizes, masks="rle")
        assert any(len(row["scores"]) for row in dense)
        for codes, expected in zip(coded, dense, strict=True):
            assert torch.equal(codes["scores"], expected["scores"])
            assert codes["masks"] == [encode_rle(mask) for mask in expected["masks"]]

    def test_other_forms_of_masks_are_refused(self):
        with pytest.raises(ValueError, match=r"\"dense\" or \"rle\"; got 'png'"):
            self.processor.post_process_instance_segmentation(made_up(), masks="png")


class TestSaidTwice:
    """Queries that say the same object."""

    def twice(self):
        """Every query once more, a little less sure and a little beside."""
        once = made_up(rows=2, queries=3)
        boxes = torch.tensor([[0.1, 0.1, 0.3, 0.3], [0.5, 0.1, 0.9, 0.3], [0.1, 0.5, 0.3, 0.9]]).expand(2, -1, -1)
        return ModelOutput(
            pred_logits=torch.cat([once.pred_logits.abs(), once.pred_logits.abs() - 0.01], 1),
            presence_logits=once.presence_logits,
            pred_boxes=torch.cat([boxes, boxes + 0.01], 1),
            pred_masks=once.pred_masks.repeat(1, 2, 1, 1),
        )

    def test_the_surest_of_those_that_overlap_is_kept(self):
        processor, sizes = Sam3ImageProcessor(nms_threshold=0.5), [(100, 100)] * 2
        kept = processor.post_process_instance_segmentation(self.twice(), 0.3, target_sizes=sizes)
        every = Sam3ImageProcessor().post_process_instance_segmentation(self.twice(), 0.3, target_sizes=sizes)
        for one, two in zip(kept, every, strict=True):
            assert [len(found["scores"]) for found in (one, two)] == [3, 6]
            assert all(one[name].equal(two[name][:3]) for name in ("scores", "boxes", "masks"))

    def test_a_call_decides_otherwise(self):
        for own, given, count in [(None, 0.5, 3), (0.5, 1, 6), (0.5, None, 3), (None, None, 6)]:
            processor = Sam3ImageProcessor(nms_threshold=own)
            found = processor.post_process_object_detection(self.twice(), 0.3, nms_threshold=given)
            assert [len(row["boxes"]) for row in found] == [count, count]

    def test_it_is_saved(self, tmp_path):
        Sam3ImageProcessor(nms_threshold=0.5).save_pretrained(tmp_path)
        assert Sam3ImageProcessor.from_pretrained(tmp_path).nms_threshold == 0.5
        assert Sam3ImageProcessor.from_pretrained(tmp_path, nms_threshold=0.7).nms_threshold == 0.7

    def test_an_overlap_lies_between_none_and_all(self):
        with pytest.raises(ValueError, match=r"nms_threshold lies in 0\.\.1, .* got 2"):
            Sam3ImageProcessor(nms_threshold=2)
        with pytest.raises(ValueError, match="nms_threshold"):
            Sam3ImageProcessor().post_process_object_detection(self.twice(), nms_threshold=-0.1)


class TestFastDecode:
    @pytest.fixture
    def file(self, tmp_path):
        photograph("astronaut", (1000, 750)).save(tmp_path / "large.jpg", quality=95)
        return tmp_path / "large.jpg"

    def test_pixels_are_close_and_the_size_is_that_of_the_image(self, file):
        processor = Sam3ImageProcessor(**OPTIONS)
        exact, fast = processor(file, return_tensors="pt"), processor(file, return_tensors="pt", fast_decode=True)
        assert fast["original_sizes"].tolist() == exact["original_sizes"].tolist() == [[750, 1000]]
        difference = (fast["pixel_values"] - exact["pixel_values"]).abs()
        assert 0 < difference.mean() < 4 / 127.5

    def test_without_it_files_are_read_whole(self, file):
        processor = Sam3ImageProcessor(**OPTIONS)
        with Image.open(file) as image:
            assert torch.equal(pixel_values(file), processor(image, return_tensors="pt")["pixel_values"])

    def test_a_processor_can_be_told_once(self, file, tmp_path):
        Sam3ImageProcessor(**OPTIONS, fast_decode=True).save_pretrained(tmp_path)
        loaded = Sam3ImageProcessor.from_pretrained(tmp_path)
        expected = pixel_values(file, fast_decode=True)
        assert torch.equal(loaded(file, return_tensors="pt")["pixel_values"], expected)
        assert torch.equal(pixel_values(read_reduced(file, (168, 168))), expected)

    def test_other_images_are_read_as_ever(self):
        assert torch.equal(pixel_values(TINY / "image0.png", fast_decode=True), pixel_values(TINY / "image0.png"))
        assert torch.equal(pixel_values(IMAGES, fast_decode=True), pixel_values(IMAGES))

    def test_it_needs_a_size_to_shrink_to(self, file):
        with pytest.raises(ValueError, match="needs do_resize=True"):
            Sam3ImageProcessor(fast_decode=True)(file, do_resize=False)
