import json
import shutil

import pytest
import torch

from sam3_hf.loading import LoadingError, check_device, load
from tests.support.folders import write_model_folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


@pytest.mark.parametrize(("dtype", "expected"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_folder_gives_model_and_processor(whole, dtype, expected):
    model, processor = load(whole, dtype)
    assert model.dtype == expected
    assert not model.training
    assert processor.image_processor.size == {"height": 168, "width": 168}


def test_auto_keeps_the_type_that_is_stored(whole, tmp_path):
    model, processor = load(whole, "float16")
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert load(tmp_path).model.dtype == torch.float16


@pytest.mark.parametrize(
    ("missing", "part"),
    [
        ("config.json", "configuration"),
        ("model.safetensors", "weights"),
        ("processor_config.json", "image processor"),
        ("tokenizer.json", "tokenizer"),
    ],
)
def test_a_folder_without_a_part_is_refused_by_its_name(folder, missing, part):
    (folder / missing).unlink()
    with pytest.raises(LoadingError, match=f"not a complete model folder: it holds no {part}"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{"),
        ("model.safetensors", b"no tensors"),
        ("model.safetensors", b"\xff" * 7 + b"\x7f" + b"{}"),
        ("tokenizer.json", b"{"),
        ("processor_config.json", b"]"),
    ],
)
def test_a_damaged_folder_gives_one_line(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(LoadingError, match=f"^{folder} cannot be loaded: ") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_kind_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["detr_decoder_config"]["num_queries"] = 7
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(LoadingError, match="of another shape"):
        load(folder)


def test_a_file_is_to_be_converted(tmp_path):
    (tmp_path / "sam3.pt").touch()
    with pytest.raises(LoadingError, match=r"convert_checkpoint\.py"):
        load(tmp_path / "sam3.pt")


def test_what_is_neither_folder_nor_hub_id_is_refused():
    with pytest.raises(LoadingError, match=r"No model folder '\./nowhere', and no Hub id"):
        load("./nowhere")


def test_an_unknown_type_is_refused(whole):
    with pytest.raises(LoadingError, match="Unknown dtype 'int8'; choose one of auto, float32"):
        load(whole, "int8")


@pytest.mark.parametrize("name", ["gpu0", "meta", "cpu:x"])
def test_a_device_that_cannot_compute_is_refused(name):
    with pytest.raises(LoadingError, match=f"(?i)device .*{name}"):
        check_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(LoadingError, match='CUDA is not available here; pass "cpu"'):
        check_device("cuda")
