import io

import numpy as np
import pytest
import torch
from PIL import Image

from sam3_hf.inputs.images import as_list, read_image, read_map

RGB = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
PICTURE = torch.from_numpy(RGB).permute(2, 0, 1)
GREY = PICTURE[:1].expand(3, -1, -1)


def read(image, order=None):
    return read_image(image, order, convert_rgb=True)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(RGB),
        RGB,
        RGB.transpose(2, 0, 1),
        RGB[:, ::-1][:, ::-1],
        RGB.astype(np.int64),
        RGB.astype(np.uint16) * 257,
        RGB.astype(">u2") * 257,
        np.dstack([RGB, RGB[..., :1]]),
        PICTURE,
        PICTURE.permute(1, 2, 0),
        torch.cat([PICTURE, PICTURE[:1]]),
    ],
)
def test_every_layout_of_the_same_pixels_reads_the_same(image):
    assert torch.equal(read(image), PICTURE)


@pytest.mark.parametrize(
    "image",
    [RGB[..., 0], RGB[..., :1], PICTURE[0], PICTURE[:1], Image.fromarray(RGB[..., 0])],
    ids=lambda image: type(image),
)
def test_grey_is_repeated(image):
    assert torch.equal(read(image), GREY)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_values(dtype):
    picture = read(RGB.astype(dtype))
    assert picture.dtype == torch.float32
    assert torch.equal(picture, PICTURE.float())


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "LA", "L", "P", "PA", "1", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "La", "RGBa"]
)
def test_every_mode_reads_as_pillow_converts_it(mode):
    source = Image.fromarray(RGB)
    steps = {"PA": ["P", "PA"], "LAB": [], "La": ["LA", "La"], "RGBa": ["RGBA", "RGBa"]}.get(mode, [mode])
    image = Image.new("LAB", (31, 20), (90, 10, 200)) if mode == "LAB" else source
    for step in steps:
        image = image.convert(step)
    expected = np.asarray((image.convert("LA") if mode == "La" else image).convert("RGB"))
    assert np.array_equal(read(image).permute(1, 2, 0).numpy(), expected)


def test_transparent_palette_images_show_their_palette_colours():
    image = Image.fromarray(RGB).convert("P")
    image.info["transparency"] = bytes(range(256))
    assert torch.equal(read(image), read(Image.fromarray(RGB).convert("P")))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_sixteen_bits_become_eight(mode):
    values = RGB[..., 0].astype(np.uint16) * 257
    image = Image.fromarray(values.astype(np.int32)) if mode == "I" else Image.fromarray(values)
    image = Image.frombytes(mode, (31, 20), values.astype(">u2").tobytes()) if mode == "I;16B" else image
    assert torch.equal(read(image), GREY)


def test_sixteen_bit_files_become_eight(tmp_path):
    Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(tmp_path / "grey.png")
    assert torch.equal(read(tmp_path / "grey.png"), GREY)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    upright = read(tmp_path / "turned.png")
    assert upright.shape[1:] == ((20, 31) if orientation < 5 else (31, 20))
    assert torch.equal(read(Image.open(tmp_path / "turned.png")), upright)


def test_files_open_by_name(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "image.png")
    assert torch.equal(read(str(tmp_path / "image.png")), PICTURE)


def test_booleans_are_black_and_white():
    assert read(RGB > 127).unique().tolist() == [0, 255]


@pytest.mark.parametrize("height", [1, 3, 4])
def test_pillow_images_of_few_rows_are_not_ambiguous(height):
    assert torch.equal(read(Image.fromarray(RGB[:height])), PICTURE[:, :height])


def test_a_given_order_settles_an_ambiguous_shape():
    image = np.arange(3 * 7 * 3, dtype=np.uint8).reshape(3, 7, 3)
    assert read(image, "channels_first").shape == (3, 7, 3)
    assert torch.equal(read(image, "channels_last"), torch.from_numpy(image).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 7, 3)), "first or last"),
        (np.zeros((8, 7, 5)), "neither"),
        (np.zeros((8, 0, 3), dtype=np.uint8), "at least one pixel"),
        (np.zeros((0, 0), dtype=np.uint8), "at least one pixel"),
        (np.zeros(5), "dimensions"),
        (np.zeros((2, 2, 5, 5, 3)), "dimensions"),
        (np.full((5, 5), 256), r"0\.\.255"),
        (np.full((5, 5), -1), r"0\.\.255"),
        (np.zeros((5, 5), dtype=object), "numbers"),
        (np.zeros((5, 5), dtype="U1"), "numbers"),
        (np.zeros((5, 5), dtype=complex), "numbers"),
        (torch.zeros(5, 5, dtype=torch.complex64), "numbers"),
        ([[1, 2], [3, 4]], "got list"),
        (None, "got NoneType"),
        (7, "got int"),
        ("no such file.png", "Cannot open"),
        (Image.fromarray(np.full((5, 5), 70000, dtype=np.int32)), "mode I"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        read(image)


def test_a_wrong_order_is_refused():
    with pytest.raises(ValueError, match="got 20"):
        read(RGB, "channels_first")
    with pytest.raises(ValueError, match="channels_first"):
        read(RGB, "sideways")


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png"):
        read(tmp_path / "text.png")


def test_a_truncated_file_is_refused(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[:500])
    with pytest.raises(ValueError, match=r"cut\.png"):
        read(tmp_path / "cut.png")


def test_other_images_are_refused_where_conversion_is_off():
    with pytest.raises(ValueError, match="do_convert_rgb"):
        read_image(RGB[..., 0], None, convert_rgb=False)


def test_one_image_a_list_and_a_batch_are_lists():
    assert len(as_list(RGB, 3)) == 1
    assert len(as_list([RGB, RGB], 3)) == 2
    assert len(as_list(np.stack([RGB, RGB]), 3)) == 2
    assert len(as_list(torch.zeros(4, 5, 5), 2)) == 4
    with pytest.raises(ValueError, match="at least one"):
        as_list([], 3)


@pytest.mark.parametrize("labels", [RGB[..., 0], RGB[None, ..., 0], PICTURE[0].float(), Image.fromarray(RGB[..., 0])])
def test_maps_read_as_whole_numbers(labels):
    values = read_map(labels)
    assert values.dtype == torch.int64
    assert torch.equal(values, PICTURE[0].long())


def test_a_palette_map_reads_as_its_indices():
    image = Image.fromarray(RGB).convert("P")
    assert np.array_equal(read_map(image).numpy(), np.asarray(image))


@pytest.mark.parametrize(
    "labels", [RGB, np.zeros((2, 5, 5)), np.full((5, 5), 0.5), np.full((5, 5), np.nan), np.zeros((0, 5)), "x"]
)
def test_what_is_no_map_is_refused(labels):
    with pytest.raises(ValueError, match=r"segmentation map|Cannot open"):
        read_map(labels)
