import pytest
import torch
import transformers
from transformers.models.sam3 import image_processing_sam3 as theirs

from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.ops.masks import decode_rle, resize_logits
from tests.support import tracker_golden as recorded
from tests.support.masks import blobs


@pytest.fixture
def processor() -> Sam3ImageProcessor:
    return Sam3ImageProcessor(size=168, mask_size=48)


class TestPostProcessMasks:
    def test_any_leading_dimensions_stay(self, processor: Sam3ImageProcessor) -> None:
        logits = torch.randn(2, 3, 24, 24)
        for masks in (logits, logits[0], logits.flatten(0, 1)[:1]):
            assert processor.post_process_masks([masks], [(30, 40)])[0].shape == (*masks.shape[:-2], 30, 40)

    def test_logits_come_back_on_request_without_filled_holes(self, processor: Sam3ImageProcessor) -> None:
        logits = torch.randn(1, 1, 24, 24)
        resized = processor.post_process_masks([logits], [(30, 40)], binarize=False)[0]
        torch.testing.assert_close(resized[0], resize_logits(logits[0], (30, 40)))

    def test_holes_are_filled_and_specks_removed_up_to_an_area(self, processor: Sam3ImageProcessor) -> None:
        logits = torch.full((1, 1, 40, 40), -5.0)
        logits[..., 5:35, 5:35] = 5
        logits[..., 10:13, 10:13] = -5
        logits[..., 0:2, 38:40] = 5

        def areas(**options: float) -> int:
            return int(processor.post_process_masks([logits], [(40, 40)], **options)[0].sum())

        assert areas(max_hole_area=0) == 900 - 9 + 4
        assert areas(max_hole_area=8) == 900 - 9 + 4
        assert areas(max_hole_area=9) == areas() == 900 + 4
        assert areas(max_sprinkle_area=3) == 900 + 4
        assert areas(max_sprinkle_area=4) == 900

    def test_objects_can_be_kept_apart(self, processor: Sam3ImageProcessor) -> None:
        logits = [torch.randn(3, 1, 24, 24) + 2]
        together = processor.post_process_masks(logits, [(30, 40)])[0]
        apart = processor.post_process_masks(
            logits, [(30, 40)], apply_non_overlapping_constraints=True, max_hole_area=0
        )
        expected = transformers.Sam3ImageProcessor().post_process_masks(
            logits, [(30, 40)], apply_non_overlapping_constraints=True
        )
        assert together.sum(0).max() == 3
        assert apart[0].sum(0).max() == 1
        assert apart[0].equal(expected[0])

    def test_one_size_per_image_is_needed(self, processor: Sam3ImageProcessor) -> None:
        with pytest.raises(ValueError, match="masks of 2 images and 1 original_sizes"):
            processor.post_process_masks(torch.randn(2, 1, 1, 8, 8), [(30, 40)])


class TestMaskGeneration:
    def test_crops_are_those_of_transformers(self, processor: Sam3ImageProcessor) -> None:
        image = torch.randint(0, 255, (3, 150, 210), dtype=torch.uint8)
        boxes, points, crops, labels = processor.generate_crop_boxes(image, 168, 2, points_per_crop=4)
        expected, _ = theirs._generate_per_layer_crops(2, 512 / 1500, (150, 210))
        assert boxes.tolist() == expected
        assert points.shape == (1, 16, len(expected), 2)
        torch.testing.assert_close(points[0, :, 0], theirs._build_point_grid(4) * 168)
        for crop, (x1, y1, x2, y2) in zip(crops, expected, strict=True):
            assert crop.equal(image[:, y1:y2, x1:x2])
        assert labels.unique().tolist() == [1]

    def test_points_cover_the_whole_of_an_oblong_image(self, processor: Sam3ImageProcessor) -> None:
        _, points, _, _ = processor.generate_crop_boxes(
            torch.zeros(3, 50, 200, dtype=torch.uint8), 168, points_per_crop=4
        )
        assert points.amin((0, 1, 2)).tolist() == [21, 21]
        assert points.amax((0, 1, 2)).tolist() == [147, 147]

    def test_crops_with_fewer_points_are_refused(self, processor: Sam3ImageProcessor) -> None:
        with pytest.raises(ValueError, match="as many points in every crop"):
            processor.generate_crop_boxes(
                torch.zeros(3, 50, 50, dtype=torch.uint8), 168, 1, crop_n_points_downscale_factor=2
            )

    def test_masks_are_filtered_as_by_transformers(self, processor: Sam3ImageProcessor) -> None:
        logits, scores = blobs(12, 60, 80).view(4, 3, 60, 80), torch.rand(4, 3)
        arguments = ((100, 120), torch.tensor([40, 0, 120, 60]), 0.3, 0.5, 0.0, 1.0)
        ours = processor.filter_masks(logits, scores, *arguments)
        codes, kept_scores, their_boxes = transformers.Sam3ImageProcessor().filter_masks(logits, scores, *arguments)
        torch.testing.assert_close(ours[1], kept_scores)
        assert 0 < len(ours[0]) < 12
        for code, expected in zip(ours[0], codes, strict=True):
            assert decode_rle(code).equal(theirs._rle_to_mask(expected))
        # Right and bottom edges are exclusive here, inclusive there; older transformers leaves boxes in their crop.
        sizes, their_sizes = ours[2][:, 2:] - ours[2][:, :2], their_boxes[:, 2:] - their_boxes[:, :2]
        assert (sizes - their_sizes).unique().tolist() == [1]

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_the_pipeline_of_transformers_finds_what_the_filters_leave(self) -> None:
        processor = recorded.tiny_processor().image_processor
        generate = transformers.pipeline(
            "mask-generation", model=recorded.shared_model(), image_processor=processor, device="cpu"
        )
        keep_all = {"pred_iou_thresh": -1.0, "stability_score_thresh": -1.0, "crops_nms_thresh": 1.0}
        found = generate(str(recorded.IMAGE), points_per_crop=4, points_per_batch=4, output_rle_mask=True, **keep_all)
        assert len(found["masks"]) == 4 * 4 * 3
        assert found["masks"][0].shape == recorded.SIZE
        assert decode_rle(found["rle_mask"][0]).equal(found["masks"][0])
        apart = keep_all | {"crops_nms_thresh": 0.5}
        few = generate(str(recorded.IMAGE), points_per_crop=4, points_per_batch=4, output_bboxes_mask=True, **apart)
        assert len(few["masks"]) == len(few["bounding_boxes"]) < 20
