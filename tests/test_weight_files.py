import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.weight_files import check_source, weight_files

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path, tiny: Sam3Model) -> Path:
    tiny.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def sharded(tmp_path: Path, tiny: Sam3Model) -> Path:
    tiny.save_pretrained(tmp_path / "sharded", max_shard_size="600KB")
    return tmp_path / "sharded"


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def test_the_files_of_a_saved_model_are_found(folder: Path, sharded: Path) -> None:
    assert weight_files(folder) == [folder / "model.safetensors"]
    assert weight_files(sharded) == shards(sharded)
    assert len(shards(sharded)) > 2


def test_variants_have_files_of_their_own(tmp_path: Path, tiny: Sam3Model) -> None:
    tiny.save_pretrained(tmp_path / "one", variant="fp16")
    tiny.save_pretrained(tmp_path / "many", variant="fp16", max_shard_size="600KB")
    assert len(weight_files(tmp_path / "one", "fp16")) == 1
    assert len(weight_files(tmp_path / "many", "fp16")) > 2
    next((tmp_path / "many").glob("model*00002*.safetensors")).unlink()
    with pytest.raises(ValueError, match="00002"):
        Sam3Model.from_pretrained(tmp_path / "many", variant="fp16")


def test_a_hub_id_and_a_good_folder_pass(folder: Path, sharded: Path) -> None:
    for source in ("facebook/sam3", None, folder, str(sharded)):
        check_source(source)
    check_source(folder.parent, subfolder="model")


@pytest.mark.parametrize("kept", [0, 5, 3000, 100_000])
def test_a_file_that_was_cut_short_is_named(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or was not downloaded completely"):
        Sam3Model.from_pretrained(folder)


def test_so_is_a_shard(sharded: Path) -> None:
    path = shards(sharded)[1]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged"):
        Sam3Model.from_pretrained(sharded)


def test_a_git_lfs_pointer_is_recognised(folder: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3439938512\n"
    (folder / "model.safetensors").write_text(pointer)
    with pytest.raises(ValueError, match="git lfs pull"):
        Sam3Model.from_pretrained(folder)


def test_another_kind_of_file_under_the_name_is_an_error(folder: Path) -> None:
    torch.save({"a": torch.ones(3)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        Sam3Model.from_pretrained(folder)


def test_a_shard_of_another_save_is_an_error_that_says_what_differs(sharded: Path, tmp_path: Path) -> None:
    first, second = shards(sharded)[:2]
    shutil.copy(first, second)
    with pytest.raises(ValueError, match=rf"{second.name} lacks .* and also holds .*different saves"):
        Sam3Model.from_pretrained(sharded)


def test_a_tensor_that_a_shard_holds_besides_is_an_error(sharded: Path) -> None:
    path, other = shards(sharded)[:2]
    stray = next(iter(load_file(other)))
    save_file(load_file(path) | {stray: torch.zeros(2)}, path, {"format": "pt"})
    with pytest.raises(ValueError, match=rf"{path.name} also holds {stray}"):
        Sam3Model.from_pretrained(sharded)


def test_shards_that_are_not_there_are_named(sharded: Path) -> None:
    gone = shards(sharded)[1]
    gone.unlink()
    with pytest.raises(ValueError, match=rf"lists {gone.name}, which is not there"):
        Sam3Model.from_pretrained(sharded)


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps({"weight_map": {"a": 3}})])
def test_a_broken_index_is_an_error(sharded: Path, content: str) -> None:
    (sharded / INDEX).write_text(content)
    with pytest.raises(ValueError, match="is no index of weight files"):
        Sam3Model.from_pretrained(sharded)


def test_a_file_instead_of_a_folder_is_told_where_to_go(tmp_path: Path) -> None:
    (tmp_path / "sam3.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"sam3\.pt is a file.*from_original"):
        Sam3Model.from_pretrained(tmp_path / "sam3.pt")


def test_a_folder_without_configuration_is_an_error(tmp_path: Path, tiny: Sam3Model) -> None:
    with pytest.raises(ValueError, match=r"holds no config\.json.*save_pretrained"):
        Sam3Model.from_pretrained(tmp_path)
    (tmp_path / "sam3.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"from_original loads sam3\.pt"):
        Sam3Model.from_pretrained(tmp_path)


def test_a_configuration_can_be_given_instead(folder: Path, tiny: Sam3Model) -> None:
    (folder / "config.json").unlink()
    assert Sam3Model.from_pretrained(folder, config=tiny.config).config.detr_decoder_config.num_queries == 20


@pytest.mark.parametrize("content", ["", "[1]", '{"model_type": '])
def test_a_broken_configuration_is_named(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is no configuration"):
        Sam3Model.from_pretrained(folder)


@pytest.mark.parametrize("kept", [0, 100, 1_000_000])
def test_a_file_of_the_older_format_that_was_cut_short_is_named(tmp_path: Path, tiny: Sam3Model, kept: int) -> None:
    tiny.config.save_pretrained(tmp_path)
    path = tmp_path / "pytorch_model.bin"
    torch.save(tiny.state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"pytorch_model\.bin is not a complete file"):
        Sam3Model.from_pretrained(tmp_path)


def test_a_compressed_one_is_not_unpacked(tmp_path: Path, tiny: Sam3Model) -> None:
    tiny.config.save_pretrained(tmp_path)
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", bytes(50_000_000))
    with pytest.raises(ValueError, match="it was not unpacked"):
        Sam3Model.from_pretrained(tmp_path)
