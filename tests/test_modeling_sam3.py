import gzip
import json

import pytest
import torch

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.detector.detr_decoder import Memory
from sam3_hf.detector.prompts import BoxPrompt
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.ops.tokens import PaddedTokens, join, to_tokens
from tests.support import golden
from tests.support.tolerances import INTERMEDIATE, ORIGINAL, SAME_MASKS, SAME_MODEL

PROMPT = ("input_ids", "attention_mask", "input_boxes", "input_boxes_labels")


def run(model: Sam3Model, **inputs: object):
    with torch.no_grad():
        return model(**inputs)


def rows_of(inputs: dict, *rows: int) -> dict:
    """The prompt of the given rows, and the index of their images."""
    prompt = {key: inputs[key][list(rows)] for key in PROMPT if key in inputs}
    return prompt | {"image_index": inputs["image_index"][list(rows)]}


def assert_same(ours, theirs, rows=slice(None)) -> None:
    for name in ("pred_logits", "pred_boxes", "presence_logits", "semantic_seg"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name)[rows], **SAME_MODEL, msg=name)
    torch.testing.assert_close(ours.pred_masks, theirs.pred_masks[rows], **SAME_MASKS)


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("name", golden.CASES)
def test_outputs_equal_the_original(name: str, backend: str) -> None:
    model = golden.tiny_model()
    model.set_attn_implementation(backend)
    case = golden.case(name)
    outputs = run(model, **case.inputs)
    for key, tolerance in ORIGINAL.items():
        expected = case.outputs["pred_boxes_xyxy" if key == "pred_boxes" else key]
        torch.testing.assert_close(getattr(outputs, key), expected, rtol=0, atol=tolerance, msg=key)


@pytest.mark.parametrize("name", ["text_only", "text_box_pos_neg"])
def test_every_step_equals_the_original(tiny: Sam3Model, name: str) -> None:
    case = golden.case(name)
    inputs, expected = case.inputs, case.intermediates
    close = {"rtol": 1e-5, "atol": INTERMEDIATE}
    with torch.no_grad():
        vision = tiny.get_vision_features(inputs["pixel_values"][inputs["image_index"]])
        for level in range(3):
            torch.testing.assert_close(vision.fpn_hidden_states[level], expected[f"vision_fpn.{level}"], **close)
            torch.testing.assert_close(vision.fpn_position_encoding[level], expected[f"vision_pos.{level}"], **close)
        text = tiny.get_text_features(inputs["input_ids"], inputs["attention_mask"])
        real = inputs["attention_mask"].bool()
        torch.testing.assert_close(text.pooler_output[real], expected["text_features"][real], **close)

        grid = vision.fpn_hidden_states[2]
        tokens, positions = to_tokens(grid), to_tokens(vision.fpn_position_encoding[2])
        size = tuple(grid.shape[-2:])
        boxes = (
            BoxPrompt.of(inputs["input_boxes"], inputs["input_boxes_labels"])
            if "input_boxes" in inputs
            else BoxPrompt.empty(1, grid.device)
        )
        geometry = tiny.geometry_encoder(tokens, positions, size, boxes)
        prompt = join(PaddedTokens(text.pooler_output, real), geometry)
        assert prompt.valid.equal(~case.outputs["prompt_padding_mask"])
        torch.testing.assert_close(prompt.values[prompt.valid], expected["prompt_features"][prompt.valid], **close)
        memory = tiny.detr_encoder(tokens, positions, prompt)
        torch.testing.assert_close(memory, expected["encoder_hidden_states"], **close)
        queries = tiny.detr_decoder(Memory(memory, positions, size), prompt)
        torch.testing.assert_close(queries.hidden_states[-1], expected["decoder_queries"], **close)
        centre_format = case.outputs["pred_boxes_cxcywh"]
        torch.testing.assert_close(queries.boxes_cxcywh[-1], centre_format, rtol=0, atol=ORIGINAL["pred_boxes"])


@pytest.mark.parametrize("name", golden.CASES)
def test_as_many_prompt_tokens_count_as_in_the_original(tiny: Sam3Model, name: str) -> None:
    case = golden.case(name)
    real = (~case.outputs["prompt_padding_mask"]).sum(1)
    boxes = (case.inputs["input_boxes_labels"] != -10).sum(1) if "input_boxes_labels" in case.inputs else 0
    assert real.equal(case.inputs["attention_mask"].sum(1) + boxes + 1)  # the CLS token


def test_text_only_without_the_cls_token_would_be_far_off() -> None:
    model = golden.tiny_model()
    case = golden.case("text_only")
    encode = model.geometry_encoder.forward
    model.geometry_encoder.forward = lambda *inputs: PaddedTokens(*(part[:, :0] for part in encode(*inputs)))
    assert (run(model, **case.inputs).pred_logits - case.outputs["pred_logits"]).abs().max() > 0.5


def test_state_dict_has_every_key_and_shape_of_the_released_detector() -> None:
    with gzip.open(golden.FOLDER.parent / "keys" / "hf_sam3_keys.tsv.gz", "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    prefix = "detector_model."
    expected = {key.removeprefix(prefix): json.loads(shape) for key, shape, _ in rows if key.startswith(prefix)}
    with torch.device("meta"):
        model = Sam3Model(Sam3Config())
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == expected
    assert len(expected) == 1468
    assert sum(parameter.numel() for parameter in model.parameters()) == 840_376_374


class TestPromptRows:
    def test_one_image_with_three_texts_equals_one_by_one(self, tiny: Sam3Model) -> None:
        case = golden.case("one_image_three_texts")
        together = run(tiny, pixel_values=case.inputs["pixel_values"], **rows_of(case.inputs, 0, 1, 2))
        for row in range(3):
            alone = run(tiny, pixel_values=case.inputs["pixel_values"], **rows_of(case.inputs, row))
            assert_same(alone, together, slice(row, row + 1))

    def test_three_texts_on_a_single_image_need_no_index(self, tiny: Sam3Model) -> None:
        inputs = golden.case("one_image_three_texts").inputs
        prompt = rows_of(inputs, 0, 1, 2)
        expected = run(tiny, pixel_values=inputs["pixel_values"], **prompt)
        prompt.pop("image_index")
        outputs = run(tiny, pixel_values=inputs["pixel_values"][:1], **prompt)
        assert_same(outputs, expected)
        assert outputs.image_index.tolist() == [0, 0, 0]

    def test_one_text_serves_two_images(self, tiny: Sam3Model) -> None:
        inputs = golden.case("text_only").inputs
        pixels = inputs["pixel_values"]
        prompt = {key: inputs[key] for key in ("input_ids", "attention_mask")}
        together = run(tiny, pixel_values=pixels, **prompt)
        for row in range(2):
            assert_same(run(tiny, pixel_values=pixels[row : row + 1], **prompt), together, slice(row, row + 1))

    def test_mixed_text_and_box_rows_equal_one_by_one(self, tiny: Sam3Model) -> None:
        inputs = golden.case("batch_ragged_boxes").inputs
        index = torch.tensor([1, 0, 0])
        order = [1, 0, 1]  # rows of the recorded prompt
        prompt = {key: inputs[key][order] for key in PROMPT}
        prompt["input_boxes_labels"][2] = -10  # the last row has text alone
        together = run(tiny, pixel_values=inputs["pixel_values"], image_index=index, **prompt)
        for row in range(3):
            alone = {key: value[row : row + 1] for key, value in prompt.items()}
            if row == 2:
                alone = {key: alone[key] for key in ("input_ids", "attention_mask")}
            image = inputs["pixel_values"][index[row]][None]
            assert_same(run(tiny, pixel_values=image, **alone), together, slice(row, row + 1))
        assert together.image_index.equal(index)

    def test_padding_to_more_boxes_changes_nothing(self, tiny: Sam3Model) -> None:
        inputs = dict(golden.case("box_pos").inputs)
        expected = run(tiny, **inputs)
        inputs["input_boxes"] = torch.cat([inputs["input_boxes"], torch.full((1, 5, 4), -10.0)], 1)
        inputs["input_boxes_labels"] = torch.cat([inputs["input_boxes_labels"], torch.full((1, 5), -10)], 1)
        assert_same(run(tiny, **inputs), expected)

    def test_zero_boxes_equal_text_only(self, tiny: Sam3Model) -> None:
        inputs = golden.case("text_only").inputs
        none = {"input_boxes": torch.zeros(1, 0, 4), "input_boxes_labels": torch.zeros(1, 0, dtype=torch.long)}
        assert_same(run(tiny, **inputs, **none), run(tiny, **inputs))

    def test_boxes_without_labels_are_positive(self, tiny: Sam3Model) -> None:
        inputs = dict(golden.case("box_pos").inputs)
        expected = run(tiny, **inputs)
        del inputs["input_boxes_labels"]
        assert_same(run(tiny, **inputs), expected)

    def test_the_vision_encoder_runs_once_per_image(self, tiny: Sam3Model) -> None:
        inputs = golden.case("one_image_three_texts").inputs
        seen = []
        handle = tiny.vision_encoder.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
        run(tiny, pixel_values=inputs["pixel_values"][:1], **rows_of(inputs, 0, 1, 2))
        handle.remove()
        assert seen == [1]


class TestReuse:
    def test_vision_features_serve_many_prompts(self, tiny: Sam3Model) -> None:
        inputs = golden.case("text_box_pos_neg").inputs
        vision = tiny.get_vision_features(inputs["pixel_values"][:1])
        for name in ("text_only", "box_pos", "text_box_pos_neg"):
            prompt = {key: value for key, value in golden.case(name).inputs.items() if key in PROMPT}
            assert_same(run(tiny, vision_embeds=vision, **prompt), run(tiny, **golden.case(name).inputs))

    @pytest.mark.parametrize("form", ["object", "tensor"])
    def test_text_features_serve_many_images(self, tiny: Sam3Model, form: str) -> None:
        inputs = golden.case("batch_text").inputs
        ids, mask = inputs["input_ids"][:1], inputs["attention_mask"][:1]
        text = tiny.get_text_features(input_ids=ids, attention_mask=mask)
        text = text if form == "object" else text.pooler_output
        expected = run(tiny, pixel_values=inputs["pixel_values"], input_ids=ids, attention_mask=mask)
        outputs = run(tiny, pixel_values=inputs["pixel_values"], text_embeds=text, attention_mask=mask)
        assert_same(outputs, expected)

    @pytest.mark.parametrize("form", ["object", "tensor"])
    def test_text_features_remember_their_padding(self, tiny: Sam3Model, form: str) -> None:
        inputs = golden.case("text_only").inputs
        text = tiny.get_text_features(inputs["input_ids"])
        text = text if form == "object" else text.pooler_output
        assert_same(run(tiny, pixel_values=inputs["pixel_values"][:1], text_embeds=text), run(tiny, **inputs))

    def test_padding_is_found_without_an_attention_mask(self, tiny: Sam3Model) -> None:
        inputs = dict(golden.case("text_only").inputs)
        expected = run(tiny, **inputs)
        del inputs["attention_mask"]
        assert_same(run(tiny, **inputs), expected)

    def test_texts_need_no_padding_to_full_length(self, tiny: Sam3Model) -> None:
        inputs = dict(golden.case("text_only").inputs)
        length = int(inputs["attention_mask"].sum())
        short = inputs | {key: inputs[key][:, :length] for key in ("input_ids", "attention_mask")}
        assert_same(run(tiny, **short), run(tiny, **inputs))


class TestSizes:
    @pytest.mark.parametrize("side", [84, 126, 252])
    def test_any_multiple_of_the_patch_runs(self, tiny: Sam3Model, side: int) -> None:
        ids = golden.case("text_only").inputs["input_ids"]
        outputs = run(tiny, pixel_values=torch.randn(1, 3, side, side), input_ids=ids)
        assert outputs.pred_masks.shape == (1, 20, side // 14 * 4, side // 14 * 4)
        assert outputs.pred_masks.isfinite().all()

    @pytest.mark.parametrize(
        ("height", "width", "nearest"), [(100, 100, "98 x 98 and 112 x 112"), (168, 84, "168 x 168"), (7, 7, "14 x 14")]
    )
    def test_other_sizes_are_refused_with_the_nearest_valid_ones(
        self, tiny: Sam3Model, height: int, width: int, nearest: str
    ) -> None:
        ids = golden.case("text_only").inputs["input_ids"]
        with pytest.raises(ValueError, match=nearest):
            tiny(pixel_values=torch.randn(1, 3, height, width), input_ids=ids)


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"pixel_values": None}, "exactly one of pixel_values and vision_embeds; got none"),
            ({"text_embeds": torch.zeros(1, 3, 32)}, "got input_ids and text_embeds"),
            ({"input_boxes_labels": torch.ones(1, 3).long()}, "one label per box"),
            ({"input_boxes": None}, "without input_boxes"),
            ({"attention_mask": torch.ones(1, 5)}, "shape of the text"),
            ({"image_index": torch.tensor([2])}, r"must lie in 0\.\.1, got \[2\]"),
            ({"image_index": torch.tensor([-1])}, r"must lie in 0\.\.1"),
            (
                {"image_index": None, "input_ids": torch.ones(3, 4).long(), "attention_mask": None},
                "do not make 3 prompt",
            ),
            ({"input_ids": torch.ones(1, 33).long(), "attention_mask": None}, "up to 32 tokens per row, got 33"),
        ],
    )
    def test_what_does_not_fit_together_is_named(self, tiny: Sam3Model, change: dict, message: str) -> None:
        inputs = golden.case("box_pos").inputs | change
        with pytest.raises(ValueError, match=message):
            tiny(**inputs)

    def test_an_unknown_argument_is_refused(self, tiny: Sam3Model) -> None:
        with pytest.raises(TypeError, match="input_points"):
            tiny(**golden.case("text_only").inputs, input_points=torch.zeros(1, 1, 2))


class TestOutputs:
    def test_hidden_states_and_attentions_on_request(self) -> None:
        model = golden.tiny_model()
        model.set_attn_implementation("eager")
        inputs = golden.case("batch_ragged_boxes").inputs
        outputs = run(model, **inputs, output_hidden_states=True, output_attentions=True)
        assert [tuple(state.shape) for state in outputs.vision_hidden_states] == [(2, 144, 48)] * 5
        assert [tuple(state.shape) for state in outputs.encoder_hidden_states] == [(2, 144, 32)] * 3
        assert [tuple(state.shape) for state in outputs.decoder_hidden_states] == [(2, 20, 32)] * 4
        assert outputs.decoder_reference_boxes.shape == (3, 2, 20, 4)
        windows, whole = (8, 4, 36, 36), (2, 4, 144, 144)
        assert [tuple(weights.shape) for weights in outputs.vision_attentions] == [windows, whole, windows, whole]
        tokens = 32 + 3 + 1
        layer = [(2, 8, 144, 144), (2, 8, 144, tokens)]
        assert [tuple(weights.shape) for weights in outputs.detr_encoder_attentions] == layer * 2
        layer = [(2, 8, 21, 21), (2, 8, 21, tokens), (2, 8, 21, 144)]
        assert [tuple(weights.shape) for weights in outputs.detr_decoder_attentions] == layer * 3
        assert [tuple(weights.shape) for weights in outputs.mask_decoder_attentions] == [(2, 8, 144, tokens)]
        for weights in outputs.vision_attentions + outputs.detr_decoder_attentions:
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
        assert_same(outputs, run(model, **inputs))

    def test_text_states_and_attentions_on_request(self) -> None:
        model = golden.tiny_model()
        model.set_attn_implementation("eager")
        ids = golden.case("text_only").inputs["input_ids"]
        outputs = model.get_text_features(ids, output_hidden_states=True, output_attentions=True)
        assert [tuple(state.shape) for state in outputs.hidden_states] == [(1, 32, 32)] * 4
        assert [tuple(weights.shape) for weights in outputs.attentions] == [(1, 4, 32, 32)] * 3
        assert outputs.attentions[0].triu(1).abs().max() == 0

    def test_nothing_is_recorded_unless_asked_for(self, tiny: Sam3Model) -> None:
        outputs = run(tiny, **golden.case("text_only").inputs)
        assert outputs.vision_hidden_states is None
        assert outputs.detr_decoder_attentions is None

    def test_the_configuration_can_ask_for_states(self) -> None:
        model = golden.tiny_model()
        model.config.output_hidden_states = True
        assert len(run(model, **golden.case("text_only").inputs).vision_hidden_states) == 5

    def test_attention_weights_need_the_eager_backend(self, tiny: Sam3Model) -> None:
        with pytest.raises(ValueError, match="set_attn_implementation"):
            tiny(**golden.case("text_only").inputs, output_attentions=True)

    def test_a_tuple_holds_the_same_values(self, tiny: Sam3Model) -> None:
        inputs = golden.case("text_only").inputs
        named, plain = run(tiny, **inputs), run(tiny, **inputs, return_dict=False)
        assert isinstance(plain, tuple)
        assert all(left.equal(right) for left, right in zip(named.to_tuple(), plain, strict=True))

    def test_the_processor_inputs_can_be_passed_whole(self, tiny: Sam3Model) -> None:
        inputs = golden.case("text_only").inputs
        run(tiny, **inputs, original_sizes=torch.tensor([[150, 200]]))
