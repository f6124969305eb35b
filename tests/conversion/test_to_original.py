import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support import golden, multiplex_golden
from tests.support.checkpoints import TINY_CHECKPOINT, TINY_CONFIG, tiny_tensors, was_dropped

from sam3_hf.conversion.convert import convert_checkpoint
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.reading import read_checkpoint
from sam3_hf.conversion.to_original import convert_to_original
from sam3_hf.modeling_sam3 import Sam3Model

POSITIONS = "detector.backbone.vision_backbone.trunk.pos_embed"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return convert_checkpoint(TINY_CHECKPOINT, folder, config=TINY_CONFIG, tokenizer="none")


def assert_same_tensors(ours, original):
    assert all(torch.equal(tensor[:, 1:], original[POSITIONS][:, 1:]) for tensor in [ours[POSITIONS]])
    assert not ours[POSITIONS][:, 0].any()
    differ = [name for name in ours if name != POSITIONS and not torch.equal(ours[name], original[name])]
    assert differ == []


@pytest.mark.parametrize("name", ["sam3.pt", "sam3.safetensors"])
def test_there_and_back_is_bit_exact_except_what_was_dropped(whole, tmp_path, name):
    original, back = tiny_tensors(), read_checkpoint(convert_to_original(whole, tmp_path / name))
    assert original.keys() - back.keys() == set(filter(was_dropped, original))
    assert back.keys() <= original.keys()
    assert_same_tensors(back, original)
    assert {tensor.dtype for tensor in back.values()} == {torch.float32}


@pytest.mark.parametrize("name", ["sam3.pt", "sam3.safetensors"])
def test_back_and_there_is_bit_exact(whole, tmp_path, name):
    convert_to_original(whole, tmp_path / name)
    again = convert_checkpoint(tmp_path / name, tmp_path / "again", config=TINY_CONFIG, tokenizer="none")
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_file_is_no_larger_than_its_tensors(whole, tmp_path):
    back = convert_to_original(whole, tmp_path / "sam3.pt")
    assert back.stat().st_size < 1.1 * sum(tensor.nbytes for tensor in tiny_tensors().values())


@pytest.mark.parametrize("shard", ["5GB", "300KB"])
def test_a_saved_model_gives_the_detector_alone(tmp_path, tiny, shard):
    tiny.save_pretrained(tmp_path / "model", max_shard_size=shard)
    back = read_checkpoint(convert_to_original(tmp_path / "model", tmp_path / "sam3.pt"))
    assert {name.split(".")[0] for name in back} == {"detector"}
    assert_same_tensors(back, tiny_tensors())
    again = Sam3Model.from_original(tmp_path / "sam3.pt", golden.FOLDER / "config_sam3.json")
    assert all(value.equal(tiny.state_dict()[name]) for name, value in again.state_dict().items())


def test_the_detector_of_sam_3_1_comes_back_with_three_levels(tmp_path):
    model = Sam3Model.from_original(multiplex_golden.CHECKPOINT, multiplex_golden.CONFIG)
    model.save_pretrained(tmp_path / "model")
    back = read_checkpoint(convert_to_original(tmp_path / "model", tmp_path / "sam31.safetensors"))
    assert_same_tensors(back, multiplex_golden.tensors())
    again = Sam3Model.from_original(tmp_path / "sam31.safetensors", tmp_path / "model" / "config.json")
    assert again.config.vision_config.scale_factors == [4.0, 2.0, 1.0]


def test_dtype_can_be_chosen(whole, tmp_path):
    back = read_checkpoint(convert_to_original(whole, tmp_path / "a.pt", dtype="bfloat16"))
    assert {tensor.dtype for tensor in back.values()} == {torch.bfloat16}


def test_an_existing_file_stays_unless_overwriting_is_asked_for(whole, tmp_path):
    (tmp_path / "a.pt").write_text("mine")
    with pytest.raises(ConversionError, match="exists already"):
        convert_to_original(whole, tmp_path / "a.pt")
    assert (tmp_path / "a.pt").read_text() == "mine"
    convert_to_original(whole, tmp_path / "a.pt", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda weights, config: weights.pop("text_projection.bias"), "1 missing: detector_model.text_projection.bias"),
        (lambda weights, config: weights.update(extra=torch.ones(1)), "1 unknown: detector_model.extra"),
        (lambda weights, config: config["detr_decoder_config"].update(num_queries=7), "of another shape"),
    ],
)
def test_what_does_not_fit_is_an_error_and_nothing_is_written(tmp_path, tiny, damage, said):
    folder = tmp_path / "model"
    tiny.save_pretrained(folder)
    weights, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    damage(weights, config)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConversionError, match=said):
        convert_to_original(folder, tmp_path / "a.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("source", "output", "said"),
    [("absent", "a.pt", "no folder with"), (".", "a.pt", "no folder with"), (".", "a.bin", "ends in none of")],
)
def test_wrong_paths_are_named(tmp_path, source, output, said):
    with pytest.raises(ConversionError, match=said):
        convert_to_original(tmp_path / source, tmp_path / output)


def test_copies_that_differ_are_named(whole, tmp_path):
    tensors = load_file(whole / "model.safetensors")
    tensors["tracker_model.shared_image_embedding.positional_embedding"] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((whole / "config.json").read_text())
    with pytest.raises(ConversionError, match=r"tracker_model\.shared_image_embedding.*differ"):
        convert_to_original(tmp_path, tmp_path / "a.pt")
