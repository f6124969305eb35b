"""One checkpoint for four models."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.folders import finding_model, tiny_processor
from tests.support.video_golden import tracker as recorded_tracker

from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor
from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.processing_sam3_video import Sam3VideoProcessor
from sam3_hf.training.joining import join


def parts() -> tuple[Sam3Model, Sam3TrackerVideoModel]:
    detector, tracker = finding_model(), recorded_tracker()
    tracker.vision_encoder.backbone.load_state_dict(detector.vision_encoder.backbone.state_dict())
    return detector, tracker


def same(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    found = model.state_dict()
    return all(name in weights and weights[name].equal(value) for name, value in found.items())


def test_one_folder_serves_detector_clicks_tracker_and_both_together(tmp_path: Path) -> None:
    detector, tracker = parts()
    detector.config._name_or_path = tracker.config._name_or_path = str(tmp_path)
    joined = join(detector, tracker, fill_hole_area=1)
    joined.save_pretrained(tmp_path)
    assert str(tmp_path) not in (tmp_path / "config.json").read_text(encoding="utf-8")
    images = tiny_processor(tmp_path)
    Sam3VideoProcessor(images.image_processor, images.tokenizer).save_pretrained(tmp_path)
    assert same(Sam3Model.from_pretrained(tmp_path), detector.state_dict())
    assert same(Sam3TrackerModel.from_pretrained(tmp_path), tracker.state_dict())
    assert same(Sam3TrackerVideoModel.from_pretrained(tmp_path), tracker.state_dict())
    whole = Sam3VideoModel.from_pretrained(tmp_path)
    assert same(whole, joined.state_dict())
    assert whole.config.fill_hole_area == 1
    for kind in (Sam3Processor, Sam3TrackerProcessor, Sam3TrackerVideoProcessor, Sam3VideoProcessor):
        assert kind.from_pretrained(tmp_path).image_processor.size == {"height": 168, "width": 168}


def test_weights_stored_in_half_precision_are_loaded_as_the_configuration_says(tmp_path: Path) -> None:
    join(*parts()).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({name: tensor.half().contiguous() for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    for kind in (Sam3Model, Sam3TrackerModel, Sam3TrackerVideoModel, Sam3VideoModel):
        assert {part.dtype for part in kind.from_pretrained(tmp_path).parameters()} == {torch.float32}


def test_the_parts_stay_as_they_are() -> None:
    detector, tracker = parts()
    joined = join(detector, tracker)
    torch.nn.init.zeros_(joined.tracker_model.no_memory_embedding)
    joined.config.detector_config.initializer_range = 1.0
    assert tracker.no_memory_embedding.any()
    assert detector.config.initializer_range != 1.0


def test_a_tracker_on_another_vit_is_refused() -> None:
    detector, tracker = parts()
    torch.nn.init.zeros_(tracker.vision_encoder.backbone.layer_norm.weight)
    with pytest.raises(ValueError, match="must share a ViT"):
        join(detector, tracker)


def test_a_tracker_without_a_vit_is_refused() -> None:
    detector, tracker = parts()
    with pytest.raises(ValueError, match="must share a ViT"):
        join(detector, Sam3TrackerVideoModel(tracker.config, remove_vision_encoder=True))
