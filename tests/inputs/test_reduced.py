import pytest
import torch
from PIL import Image
from tests.support.photographs import photograph

from sam3_hf.inputs.images import read_image
from sam3_hf.inputs.reduced import read_reduced

SIZE = (400, 240)


def written(folder, mode="RGB", name="image.jpg", **options):
    photograph("chelsea", SIZE).convert(mode).save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize(
    ("kept", "expected"),
    [((240, 400), (240, 400)), ((121, 10), (240, 400)), ((120, 200), (120, 200)), ((1, 1), (30, 50))],
)
def test_no_more_is_left_out_than_may_be(tmp_path, kept, expected):
    read = read_reduced(written(tmp_path), kept)
    assert tuple(read.pixels.shape) == (3, *expected)
    assert read.size == (240, 400)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_colours_are_those_of_the_whole_image(tmp_path, mode):
    file = written(tmp_path, mode)
    whole, reduced = read_image(file, None, True), read_reduced(file, (60, 100)).pixels
    assert reduced.shape == (3, 60, 100)
    shrunk = whole.float().unflatten(1, (60, 4)).unflatten(3, (100, 4)).mean((2, 4))
    assert (reduced - shrunk).abs().mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_and_so_is_their_size(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = written(tmp_path, exif=exif)
    size, kept = ((240, 400), (60, 200)) if orientation < 5 else ((400, 240), (200, 60))
    read = read_reduced(file, kept)
    assert read.size == size == tuple(read_image(file, None, True).shape[1:])
    assert tuple(read.pixels.shape[1:]) == tuple(side // 2 for side in size)


def test_other_files_are_read_whole(tmp_path):
    file = written(tmp_path, name="image.png")
    assert torch.equal(read_reduced(file, (10, 10)).pixels, read_image(file, None, True))


@pytest.mark.parametrize("data", [b"no image", b"\xff\xd8\xff"])
def test_what_is_no_image_is_refused(tmp_path, data):
    (tmp_path / "broken.jpg").write_bytes(data)
    with pytest.raises(ValueError, match=r"Cannot open .*broken\.jpg"):
        read_reduced(tmp_path / "broken.jpg", (10, 10))


def test_a_truncated_file_is_refused(tmp_path):
    file = written(tmp_path)
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(ValueError, match="Cannot open"):
        read_reduced(file, (100, 100))
