import pytest
from PIL import Image

from sam3_hf.visualization.labels import Plate, free_place, shorten


def test_a_label_stands_above_its_box_if_there_is_room():
    assert free_place((20, 30, 60, 70), (25, 10), (100, 100), []) == (20, 20, 45, 30)


def test_a_label_at_the_edge_stays_in_the_picture():
    for box in [(0, 0, 9, 9), (95, 95, 100, 100), (-5, 40, 3, 50)]:
        x1, y1, x2, y2 = free_place(box, (25, 10), (100, 100), [])
        assert 0 <= x1 < x2 <= 100
        assert 0 <= y1 < y2 <= 100


def test_labels_of_one_place_do_not_cover_each_other_until_there_is_no_room():
    taken = []
    while place := free_place((20, 30, 60, 70), (25, 10), (100, 100), taken):
        assert all(
            place[2] <= other[0] or other[2] <= place[0] or place[3] <= other[1] or other[3] <= place[1]
            for other in taken
        )
        taken.append(place)
    assert len(taken) >= 4


@pytest.mark.parametrize("text", ["ear 0.93", "Ågy 1.00", "  two\nlines ", "\u732b 0.5"])
def test_a_plate_holds_its_text(text):
    plate = Plate.of(text, 20)
    picture = Image.new("RGB", (plate.size[0] + 20, plate.size[1] + 20), "white")
    plate.draw(picture, (10, 10, 10 + plate.size[0], 10 + plate.size[1]), (200, 220, 80))
    dark = picture.convert("L").point(lambda value: 255 * (value < 100)).getbbox()
    assert 10 < dark[0] < dark[2] < 10 + plate.size[0]
    assert 10 <= dark[1] < dark[3] <= 10 + plate.size[1]


def test_long_texts_are_cut():
    assert shorten("ear") == "ear"
    assert len(shorten("a very long description of something in the picture")) == 32
