import numpy as np
import pytest
from PIL import Image
from tests.support.photographs import photograph

from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.images import find_images


def test_folders_give_their_images_in_order_and_each_once(tmp_path):
    for name in ("b.jpg", "a.PNG", ".hidden.png"):
        photograph().save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "below").mkdir()
    found = find_images([tmp_path / "b.jpg", tmp_path])
    assert [file.path.name for file in found] == ["b.jpg", "a.PNG"]


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_sizes_are_those_of_the_upright_image(tmp_path, orientation):
    image = photograph()
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", exif=exif)
    assert find_images([tmp_path / "a.jpg"])[0].size == ((64, 96) if orientation < 5 else (96, 64))


def test_every_kind_of_image_is_found(tmp_path):
    photograph().convert("P").save(tmp_path / "palette.png")
    photograph().convert("RGBA").save(tmp_path / "alpha.webp")
    Image.fromarray(np.full((64, 96), 40000, np.uint16)).save(tmp_path / "deep.png")
    assert {file.size for file in find_images([tmp_path])} == {(64, 96)}


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder").mkdir()
    names = ["missing.png", "text.png", "empty.png", "folder"]
    with pytest.raises(CommandError) as caught:
        find_images([tmp_path / name for name in names])
    expected = ["does not exist.", "is not an image.", "is not an image.", "is a folder without images."]
    assert caught.value.lines == tuple(f"{tmp_path / name} {what}" for name, what in zip(names, expected, strict=True))
