from pathlib import Path

import pytest
from PIL import Image

from sam3_hf.cli import results_folder
from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.results_folder import plan, prepare, write_json, write_picture


def names(images):
    return [target.json.stem for target in plan(Path("out"), [Path(image) for image in images], True, False)]


def test_results_are_named_like_their_image():
    assert names(["a/cat.jpg", "b/dog.tar.png"]) == ["cat", "dog.tar"]


def test_images_of_one_name_do_not_share_results():
    assert names(["a/cat.jpg", "b/cat.png", "b/Cat.jpg", "c/cat_2.jpg"]) == ["cat", "cat_2", "Cat_3", "cat_2_2"]


def test_existing_results_are_kept(tmp_path):
    (tmp_path / "cat.png").touch()
    with pytest.raises(CommandError, match=r"cat\.png; pass --overwrite"):
        plan(tmp_path, [Path("cat.jpg")], overlay=True, overwrite=False)
    plan(tmp_path, [Path("cat.jpg")], overlay=True, overwrite=True)
    plan(tmp_path, [Path("cat.jpg")], overlay=False, overwrite=False)


def test_an_image_is_never_replaced_by_its_overlay(tmp_path):
    (tmp_path / "cat.png").touch()
    with pytest.raises(CommandError, match="would replace the image itself"):
        plan(tmp_path, [tmp_path / "cat.png"], overlay=True, overwrite=True)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(CommandError, match="Cannot write to"):
        prepare(tmp_path / "out")
    with pytest.raises(CommandError, match="Cannot write to"):
        prepare(tmp_path / "out" / "below")


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(results_folder.tempfile, "TemporaryFile", refuse)
    with pytest.raises(CommandError, match="Permission denied"):
        prepare(tmp_path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_json({"text": "Ohr"}, tmp_path / "a.json")
    with pytest.raises(TypeError):
        write_json({"text": object()}, tmp_path / "a.json")

    def fill_the_disk(picture, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    with pytest.raises(CommandError, match=r"Cannot write .*a\.png: No space left"):
        write_picture(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert "Ohr" in (tmp_path / "a.json").read_text()
