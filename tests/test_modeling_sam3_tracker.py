import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from sam3_hf.configuration_sam3_tracker import Sam3TrackerConfig
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor
from tests.support import golden
from tests.support import tracker_golden as recorded
from tests.support.graphs import whole_graphs
from tests.support.tolerances import SAME_MASKS, SAME_MODEL, TRACKER_FEATURES, TRACKER_ORIGINAL

# Loaded because checkpoints have them, without influence on any mask.
INERT = ("vision_encoder.neck.fpn_layers.3.",)


@pytest.fixture
def model() -> Sam3TrackerModel:
    return recorded.shared_model()


def run(model: Sam3TrackerModel, **inputs: object):
    with torch.no_grad():
        return model(**inputs)


def assert_same(ours, theirs) -> None:
    torch.testing.assert_close(ours.pred_masks, theirs.pred_masks, **SAME_MASKS)
    torch.testing.assert_close(ours.iou_scores, theirs.iou_scores, **SAME_MODEL)
    torch.testing.assert_close(ours.object_score_logits, theirs.object_score_logits, **SAME_MODEL)


def clicks(*places: tuple[float, float], label: int = 1) -> dict[str, torch.Tensor]:
    """One object with these points, in pixels of the model's input."""
    return {"input_points": torch.tensor([[places]]).float(), "input_labels": torch.tensor([[[label] * len(places)]])}


@pytest.fixture(scope="module")
def embedded() -> dict:
    """The recorded image, encoded."""
    pixels = recorded.recorded("inputs")["pixel_values"]
    with torch.no_grad():
        return {"image_embeddings": recorded.shared_model().get_image_embeddings(pixels)}


class TestOriginal:
    @pytest.mark.parametrize("backend", ["sdpa", "eager"])
    @pytest.mark.parametrize("name", recorded.CASES)
    def test_outputs_equal_the_original(self, name: str, backend: str) -> None:
        model = recorded.tiny_model()
        model.set_attn_implementation(backend)
        case = recorded.case(name)
        outputs = run(model, **case.inputs, multimask_output=case.several)
        expected = case.outputs | {"pred_masks": case.outputs["low_res_masks"]}
        for key, tolerance in TRACKER_ORIGINAL.items():
            torch.testing.assert_close(getattr(outputs, key)[0], expected[key], rtol=0, atol=tolerance, msg=key)

    def test_every_step_equals_the_original(self, model: Sam3TrackerModel, embedded: dict) -> None:
        finest, finer, patches = embedded["image_embeddings"]
        close = {"rtol": 0, "atol": TRACKER_FEATURES}
        expected = recorded.recorded("intermediates")
        torch.testing.assert_close(finest, expected["tracker_fpn.0"], **close)
        torch.testing.assert_close(finer, expected["tracker_fpn.1"], **close)
        without_memory = patches - model.no_memory_embedding[0, 0, :, None, None]
        torch.testing.assert_close(without_memory, expected["tracker_fpn.2"], **close)
        positions = model.get_image_wide_positional_embeddings()
        torch.testing.assert_close(positions, expected["image_wide_positional_embedding"], **close)

    def test_the_embedding_for_no_memory_reaches_the_masks(self) -> None:
        model, case = recorded.tiny_model(), recorded.case("point")
        with torch.no_grad():
            model.no_memory_embedding.zero_()
        assert (run(model, **case.inputs).pred_masks[0] - case.outputs["low_res_masks"]).abs().max() > 0.01

    def test_a_token_that_the_original_does_not_send_would_be_far_off(self, model: Sam3TrackerModel) -> None:
        case = recorded.case("mask_only")
        outputs = run(model, **case.inputs, **clicks((0, 0), label=-1))
        assert (outputs.pred_masks[0] - case.outputs["low_res_masks"]).abs().max() > 0.01

    def test_state_dict_has_every_key_and_shape_of_the_released_model(self) -> None:
        with gzip.open(golden.FOLDER.parent / "keys" / "hf_sam3_keys.tsv.gz", "rt") as file:
            rows = [line.rstrip("\n").split("\t") for line in file][1:]
        released = {key: json.loads(shape) for key, shape, _ in rows}
        with torch.device("meta"):
            shapes = {
                key: list(value.shape) for key, value in Sam3TrackerModel(Sam3TrackerConfig()).state_dict().items()
            }
        assert {recorded.released_name(key): shape for key, shape in shapes.items()} == {
            key: released[key] for key in map(recorded.released_name, shapes)
        }
        video_only = Sam3TrackerModel._keys_to_ignore_on_load_unexpected
        used = {recorded.released_name(key) for key in shapes}
        left = {
            key for key in released if key.startswith(("tracker", "detector_model.vision_encoder.backbone."))
        } - used
        memory = {key.removeprefix("tracker_model.") for key in left}
        assert all(any(re.match(pattern, key) for pattern in video_only) for key in memory)
        assert len(used) == len(shapes)


class TestPrompts:
    def test_objects_of_one_call_know_nothing_of_each_other(self, model: Sam3TrackerModel, embedded: dict) -> None:
        places = torch.tensor([[[[20.0, 30]], [[100, 90]], [[60, 150]]]])
        together = run(model, **embedded, input_points=places)
        for number in range(3):
            alone = run(model, **embedded, input_points=places[:, number, None])
            torch.testing.assert_close(alone.pred_masks[:, 0], together.pred_masks[:, number], **SAME_MASKS)

    def test_padding_changes_nothing(self, model: Sam3TrackerModel, embedded: dict) -> None:
        points = torch.tensor([[[[20.0, 30], [100, 90]], [[60, 150], [-10, -10]], [[-10, -10], [-10, -10]]]])
        labels = torch.tensor([[[1, 0], [1, -10], [-10, -10]]])
        boxes = torch.tensor([[[-10.0] * 4, [30, 90, 120, 160], [30, 90, 120, 160]]])
        together = run(model, **embedded, input_points=points, input_labels=labels, input_boxes=boxes)
        alone = [
            {"input_points": points[:, :1], "input_labels": labels[:, :1]},
            {"input_points": points[:, 1:2, :1], "input_labels": labels[:, 1:2, :1], "input_boxes": boxes[:, 1:2]},
            {"input_boxes": boxes[:, 2:]},
        ]
        for number, prompt in enumerate(alone):
            single = run(model, **embedded, **prompt)
            torch.testing.assert_close(single.pred_masks[:, 0], together.pred_masks[:, number], **SAME_MASKS)
            torch.testing.assert_close(single.iou_scores[:, 0], together.iou_scores[:, number], **SAME_MODEL)

    def test_images_of_one_call_know_nothing_of_each_other(self, model: Sam3TrackerModel) -> None:
        pixels, points = torch.randn(2, 3, 168, 168), torch.rand(2, 3, 2, 2) * 168
        together = run(model, pixel_values=pixels, input_points=points)
        for image in range(2):
            alone = run(model, pixel_values=pixels[image, None], input_points=points[image, None])
            torch.testing.assert_close(alone.pred_masks[0], together.pred_masks[image], **SAME_MASKS)

    def test_a_box_is_its_two_corners(self, model: Sam3TrackerModel, embedded: dict) -> None:
        corners = {"input_points": torch.tensor([[[[30.0, 20], [90, 80]]]]), "input_labels": torch.tensor([[[2, 3]]])}
        box = run(model, **embedded, input_boxes=torch.tensor([[[30.0, 20, 90, 80]]]))
        assert_same(run(model, **embedded, **corners), box)

    def test_points_without_labels_are_on_the_object(self, model: Sam3TrackerModel, embedded: dict) -> None:
        prompt = clicks((40, 50), (60, 50))
        expected = run(model, **embedded, **prompt)
        del prompt["input_labels"]
        assert_same(run(model, **embedded, **prompt), expected)

    def test_each_object_may_have_a_mask_of_its_own(self, model: Sam3TrackerModel, embedded: dict) -> None:
        masks, points = torch.randn(1, 2, 48, 48) * 5, torch.tensor([[[[20.0, 30]], [[100, 90]]]])
        together = run(model, **embedded, input_masks=masks, input_points=points)
        for number in range(2):
            alone = run(model, **embedded, input_masks=masks[:, number], input_points=points[:, number, None])
            torch.testing.assert_close(alone.pred_masks[:, 0], together.pred_masks[:, number], **SAME_MASKS)

    def test_one_mask_serves_all_objects_of_its_image(self, model: Sam3TrackerModel) -> None:
        pixels, points = torch.randn(2, 3, 168, 168), torch.rand(2, 2, 1, 2) * 168
        masks = torch.randn(2, 48, 48) * 5
        image = {"image_embeddings": model.get_image_embeddings(pixels)}
        together = run(model, **image, input_masks=masks, input_points=points)
        alone = run(model, **image, input_masks=masks[:, None].expand(-1, 2, -1, -1), input_points=points)
        assert_same(alone, together)

    def test_masks_of_another_size_are_resized(self, model: Sam3TrackerModel, embedded: dict) -> None:
        large = torch.randn(1, 1, 96, 96) * 5
        small = torch.nn.functional.interpolate(large, (48, 48), mode="bilinear", antialias=True)
        assert_same(run(model, **embedded, input_masks=large), run(model, **embedded, input_masks=small))

    def test_the_mask_of_one_answer_can_be_the_prompt_of_the_next(
        self, model: Sam3TrackerModel, embedded: dict
    ) -> None:
        first = run(model, **embedded, **clicks((82, 66)), multimask_output=False)
        second = run(
            model, **embedded, **clicks((82, 66)), input_masks=first.pred_masks[:, :, 0], multimask_output=False
        )
        assert second.pred_masks.shape == first.pred_masks.shape
        assert not second.pred_masks.equal(first.pred_masks)

    def test_nothing_said_gives_an_answer_too(self, model: Sam3TrackerModel, embedded: dict) -> None:
        assert run(model, **embedded).pred_masks.shape == (1, 1, 3, 48, 48)

    @pytest.mark.parametrize("side", [84, 126, 252])
    def test_points_count_in_pixels_of_any_input_size(self, model: Sam3TrackerModel, side: int) -> None:
        outputs = run(model, pixel_values=torch.randn(1, 3, side, side), **clicks((side - 1, side - 1)))
        assert outputs.pred_masks.shape[-1] == side // 14 * 4

    def test_prompt_embeddings_have_a_token_per_point_and_one_more(self, model: Sam3TrackerModel) -> None:
        tokens, grid = model.get_prompt_embeddings(input_points=torch.rand(2, 3, 4, 2), input_boxes=torch.rand(2, 3, 4))
        assert tokens.shape == (2, 3, 2 + 4 + 1, 32)
        assert grid.shape == (6, 32, 12, 12)
        assert model.get_prompt_embeddings(input_masks=torch.randn(1, 48, 48))[1].shape == (1, 32, 12, 12)


class TestDynamicMask:
    def test_an_unstable_mask_gives_way_to_the_best_of_the_others(self, embedded: dict) -> None:
        model, prompt = recorded.tiny_model(), clicks((82, 66))
        others = run(model, **embedded, **prompt)
        model.mask_decoder.config.dynamic_multimask_stability_thresh = 1.1
        single = run(model, **embedded, **prompt, multimask_output=False)
        best = others.iou_scores[0, 0].argmax()
        assert single.pred_masks[0, 0, 0].equal(others.pred_masks[0, 0, best])
        assert single.iou_scores[0, 0, 0] == others.iou_scores[0, 0, best]

    def test_in_training_the_first_mask_always_stays(self, embedded: dict) -> None:
        model, prompt = recorded.tiny_model(), clicks((82, 66))
        model.mask_decoder.config.dynamic_multimask_stability_thresh = 0.0
        stable = run(model, **embedded, **prompt, multimask_output=False)
        model.mask_decoder.config.dynamic_multimask_stability_thresh = 1.1
        assert_same(run(model.train(), **embedded, **prompt, multimask_output=False), stable)


class TestReuse:
    def test_an_answer_carries_the_embeddings_for_the_next(self, model: Sam3TrackerModel) -> None:
        case = recorded.case("point")
        first = run(model, **case.inputs)
        again = run(model, image_embeddings=first.image_embeddings, **clicks((82 * 0.84, 55.5 * 1.12)))
        assert_same(again, first)

    @pytest.mark.parametrize("first", ["concepts", "clicks"])
    def test_text_and_clicks_on_an_image_cost_one_run_of_the_vit(self, tiny: Sam3Model, first: str) -> None:
        model, case = recorded.shared_model(), recorded.case("point")
        text, pixels = golden.case("text_only").inputs, case.inputs.pop("pixel_values")
        ids = {key: text[key] for key in ("input_ids", "attention_mask")}
        expected = run(model, pixel_values=pixels, **case.inputs), run(tiny, pixel_values=pixels, **ids)
        seen = []
        handles = [
            each.vision_encoder.backbone.register_forward_hook(lambda *_: seen.append(1)) for each in (model, tiny)
        ]
        with torch.no_grad():
            vision = (tiny if first == "concepts" else model).get_vision_features(pixels)
        clicked, found = run(model, vision_embeds=vision, **case.inputs), run(tiny, vision_embeds=vision, **ids)
        for handle in handles:
            handle.remove()
        assert seen == [1]
        assert_same(clicked, expected[0])
        torch.testing.assert_close(found.pred_masks, expected[1].pred_masks, **SAME_MASKS)
        torch.testing.assert_close(found.pred_logits, expected[1].pred_logits, **SAME_MODEL)


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"pixel_values": None}, "exactly one of pixel_values, vision_embeds, image_embeddings; got none"),
            ({"image_embeddings": [torch.zeros(1)]}, "got pixel_values and image_embeddings"),
            (
                {"input_points": torch.zeros(1, 1, 2)},
                r"input_points has shape \(images, objects, points, 2\).*\(1, 1, 2\)",
            ),
            ({"input_points": torch.zeros(2, 1, 1, 2)}, r"here for 1 image\(s\); got \(2, 1, 1, 2\)"),
            ({"input_labels": torch.ones(1, 1, 2)}, r"one label per point: got \(1, 1, 2\), expected \(1, 1, 1\)"),
            ({"input_points": None}, "there are no input_points"),
            ({"input_boxes": torch.zeros(1, 2, 4)}, "as many objects per image"),
            ({"input_boxes": torch.zeros(1, 1, 5)}, r"input_boxes has shape \(images, objects, 4\)"),
            ({"input_masks": torch.zeros(1, 48, 48).bool()}, "holds logits"),
            ({"input_masks": torch.zeros(48, 48)}, "input_masks has shape"),
            ({"input_masks": torch.zeros(1, 3, 48, 48)}, "as many objects per image"),
            ({"input_points": torch.zeros(1, 0, 1, 2), "input_labels": None}, "at least one object"),
        ],
    )
    def test_what_does_not_fit_is_named(self, model: Sam3TrackerModel, change: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            model(**recorded.case("point").inputs | change)

    def test_image_embeddings_of_two_sources_are_refused(self, model: Sam3TrackerModel) -> None:
        with pytest.raises(ValueError, match="exactly one of pixel_values and vision_embeds"):
            model.get_image_embeddings()


class TestOutputs:
    def test_hidden_states_and_attentions_on_request(self) -> None:
        model, case = recorded.tiny_model(), recorded.case("points_pos_neg")
        model.set_attn_implementation("eager")
        outputs = run(model, **case.inputs, output_hidden_states=True, output_attentions=True)
        assert [tuple(state.shape) for state in outputs.vision_hidden_states] == [(1, 144, 48)] * 5
        assert len(outputs.vision_attentions) == 4
        tokens, cells = 6 + 3 + 1, 144
        layer = [(1, 8, tokens, tokens), (1, 8, tokens, cells), (1, 8, cells, tokens)]
        shapes = [tuple(weights.shape) for weights in outputs.mask_decoder_attentions]
        assert shapes == [*layer, *layer, (1, 8, tokens, cells)]
        assert_same(outputs, run(model, **case.inputs))

    def test_nothing_is_recorded_unless_asked_for(self, model: Sam3TrackerModel) -> None:
        outputs = run(model, **recorded.case("point").inputs)
        assert outputs.vision_hidden_states is None
        assert outputs.mask_decoder_attentions is None

    def test_a_tuple_holds_the_same_values(self, model: Sam3TrackerModel) -> None:
        inputs = recorded.case("point").inputs
        named, plain = run(model, **inputs), run(model, **inputs, return_dict=False)
        assert plain[1].equal(named.pred_masks)

    def test_the_processor_inputs_can_be_passed_whole(self, model: Sam3TrackerModel) -> None:
        run(model, **recorded.case("point").inputs, original_sizes=torch.tensor([[150, 200]]))

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_takes_the_processors_float32(self, dtype: torch.dtype) -> None:
        model, case = recorded.tiny_model().to(dtype), recorded.case("mask_and_point")
        outputs = run(model, **case.inputs)
        assert outputs.pred_masks.dtype == dtype
        both = torch.stack([outputs.pred_masks[0].float().flatten(), case.outputs["low_res_masks"].flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.98

    def test_every_parameter_that_can_matter_gets_a_gradient(self) -> None:
        model = recorded.tiny_model().train()
        inputs = recorded.case("two_objects_boxes").inputs
        masks = torch.randn(1, 2, 48, 48)
        points = {"input_points": torch.rand(1, 2, 3, 2) * 168, "input_labels": torch.tensor([[[1, 0, -1]] * 2])}
        several = [
            model(**inputs, **points, input_masks=masks),
            model(**inputs),
            model(**inputs, multimask_output=False),
        ]
        loss = sum(
            part.square().mean()
            for outputs in several
            for part in (outputs.pred_masks, outputs.iou_scores, outputs.object_score_logits)
        )
        loss.backward()
        for name, parameter in model.named_parameters():
            assert (parameter.grad is None) == name.startswith(INERT), name
            if parameter.grad is not None and not name.endswith("k_proj.bias"):  # cancels in the softmax
                assert parameter.grad.any(), name


class TestLoading:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        recorded.shared_model().save_pretrained(tmp_path)
        return tmp_path

    @staticmethod
    def has_recorded_weights(model: torch.nn.Module) -> bool:
        weights = recorded.tiny_weights()
        state = model.state_dict()
        return state.keys() == weights.keys() and all(state[name].equal(weights[name]) for name in weights)

    def test_saving_and_loading_gives_the_same_model(self, folder: Path) -> None:
        assert set(load_file(folder / "model.safetensors")) == set(recorded.tiny_weights())
        assert json.loads((folder / "config.json").read_text())["model_type"] == "sam3_tracker"
        assert self.has_recorded_weights(Sam3TrackerModel.from_pretrained(folder))

    def test_the_released_layout_loads_and_saves_as_a_plain_tracker(self, tmp_path: Path) -> None:
        model = Sam3TrackerModel.from_pretrained(recorded.write_released(tmp_path))
        assert self.has_recorded_weights(model)
        assert model.config.vision_config.backbone_config.layer_norm_eps == 1e-5
        model.save_pretrained(tmp_path / "plain")
        assert set(load_file(tmp_path / "plain" / "model.safetensors")) == set(recorded.tiny_weights())

    def test_folders_go_to_transformers_and_back(self, folder: Path, tmp_path: Path) -> None:
        theirs, info = transformers.Sam3TrackerModel.from_pretrained(folder, output_loading_info=True)
        assert not any(info.values())
        assert self.has_recorded_weights(theirs)
        theirs.save_pretrained(tmp_path / "theirs")
        assert self.has_recorded_weights(Sam3TrackerModel.from_pretrained(tmp_path / "theirs"))

    def test_what_transformers_saves_of_the_released_layout_loads(self, tmp_path: Path) -> None:
        (tmp_path / "released").mkdir()
        theirs = transformers.Sam3TrackerModel.from_pretrained(recorded.write_released(tmp_path / "released"))
        theirs.save_pretrained(tmp_path / "theirs")
        assert self.has_recorded_weights(Sam3TrackerModel.from_pretrained(tmp_path / "theirs"))

    def test_a_missing_or_unknown_tensor_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        weights = load_file(recorded.write_released(tmp_path) / "model.safetensors")
        del weights["tracker_neck.fpn_layers.0.proj1.bias"]
        weights["tracker_model.adapter.weight"] = torch.zeros(2)
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
        with pytest.raises(
            ValueError, match=r"1 missing .*neck\.fpn_layers\.0\.proj1\.bias\n.*1 unknown .* adapter\.weight"
        ):
            Sam3TrackerModel.from_pretrained(tmp_path)

    def test_a_configuration_of_the_whole_gives_its_tracker(self, tmp_path: Path) -> None:
        config = transformers.Sam3VideoConfig.from_pretrained(recorded.write_released(tmp_path))
        model = Sam3TrackerModel(config)
        assert model.state_dict().keys() == recorded.tiny_weights().keys()
        assert model.config.mask_decoder_config.to_dict() == recorded.tiny_config().mask_decoder_config.to_dict()

    def test_initial_frequencies_are_drawn_once(self) -> None:
        model = Sam3TrackerModel(recorded.tiny_config())
        frequencies = model.prompt_encoder.shared_embedding.positional_embedding
        assert 0.5 < frequencies.std() < 1.5
        assert model.shared_image_embedding.positional_embedding.equal(frequencies)
        assert not model.no_memory_embedding.any()

    @pytest.mark.parametrize("options", [{"device_map": "auto"}, {"dtype": "auto"}])
    def test_placement_by_accelerate_gives_the_same_weights(self, folder: Path, options: dict) -> None:
        assert self.has_recorded_weights(Sam3TrackerModel.from_pretrained(folder, **options))


SCRIPT = """
import torch
from tests.support import tracker_golden as recorded
case = recorded.case("points_pos_neg")
model = recorded.tiny_model()
with torch.no_grad():
    embeddings = model.get_image_embeddings(case.inputs.pop("pixel_values"))
    inputs = case.inputs | {"image_embeddings": embeddings}
    expected = model(**inputs).pred_masks
    for capture in (
        lambda: torch.export.export(model, (), inputs, strict=False).module(),
        lambda: torch.compile(model, fullgraph=True, backend="eager"),
    ):
        torch.testing.assert_close(capture()(**inputs).pred_masks, expected, rtol=0, atol=4e-4)
"""


@whole_graphs
def test_the_graph_of_a_click_is_captured_whole() -> None:
    # In a process of its own, because shape checks of the tests cannot be captured.
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], check=True, timeout=500)


class TestAutoClasses:
    def test_a_tracker_folder_gives_our_classes(self, tmp_path: Path) -> None:
        recorded.shared_model().save_pretrained(tmp_path)
        recorded.tiny_processor().save_pretrained(tmp_path)
        assert type(transformers.AutoModel.from_pretrained(tmp_path)) is Sam3TrackerModel
        assert type(transformers.AutoModelForMaskGeneration.from_pretrained(tmp_path)) is Sam3TrackerModel
        assert type(transformers.AutoProcessor.from_pretrained(tmp_path)) is Sam3TrackerProcessor

    def test_the_released_layout_gives_its_interactive_half_for_mask_generation(self, tmp_path: Path) -> None:
        model = transformers.AutoModelForMaskGeneration.from_pretrained(recorded.write_released(tmp_path))
        assert TestLoading.has_recorded_weights(model)


class TestOriginalCheckpoint:
    def test_a_checkpoint_of_the_original_loads_directly(self) -> None:
        model = Sam3TrackerModel.from_original(golden.FOLDER / "sam3_tiny.pt", golden.FOLDER / "config.json")
        assert TestLoading.has_recorded_weights(model)
        assert not model.training
        half = Sam3TrackerModel.from_original(
            golden.FOLDER / "sam3_tiny.pt", golden.FOLDER / "config.json", dtype="bfloat16"
        )
        assert half.dtype == torch.bfloat16

    def test_a_checkpoint_that_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ValueError, match="does not fit the configuration"):
            Sam3TrackerModel.from_original(golden.FOLDER / "sam3_tiny.pt")
