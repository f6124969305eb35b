import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sam3_hf.inputs.clicks import read_object_prompts

SIZES = [(100, 200)]


def read(points=None, labels=None, boxes=None, sizes=SIZES):
    return read_object_prompts(points, labels, boxes, sizes, side=50, pad=-10)


def test_pixels_of_each_image_become_pixels_of_the_input() -> None:
    inputs = read([[[[200, 100]]], [[[10, 10]]]], sizes=[(100, 200), (20, 10)])
    assert inputs.points.flatten(0, 2).tolist() == [[50, 50], [50, 25]]
    assert inputs.labels.flatten().tolist() == [1, 1]
    assert inputs.boxes is None


def test_ragged_points_and_objects_are_padded_on_the_right() -> None:
    inputs = read([[[[1, 1], [2, 2]], [[3, 3]]], [[[4, 4]]]], [[[1, 0], [1]], [[0]]], sizes=SIZES * 2)
    assert inputs.labels.tolist() == [[[1, 0], [1, -10]], [[0, -10], [-10, -10]]]
    assert inputs.points[1, 1].tolist() == [[-10, -10]] * 2


def test_boxes_may_reach_outside_and_be_absent() -> None:
    inputs = read(boxes=[[[-20, 0, 220, 100], None]])
    assert inputs.boxes.tolist() == [[[-5, 0, 55, 50], [-10] * 4]]
    assert inputs.points is None


def test_an_object_may_have_points_or_a_box_or_both() -> None:
    inputs = read([[[[1, 1]], None, [[2, 2]]]], boxes=[[None, [1, 1, 2, 2], [1, 1, 2, 2]]])
    assert inputs.labels.tolist() == [[[1], [-10], [1]]]
    assert inputs.boxes.eq(-10).all(-1).tolist() == [[True, False, False]]


def test_points_on_every_edge_are_inside() -> None:
    read([[[[0, 0], [200, 100], [0, 100]]]])


NESTING = "input_points has 4 levels, images > objects > points > x and y, as in"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": [10, 20]}, f"{NESTING}.*got 10 where a list of objects belongs in \\[10, 20\\]"),
        ({"points": [[[10, 20]]]}, f"{NESTING}.*got 10 where a list of x and y belongs in \\[\\[\\[10, 20\\]\\]\\]"),
        ({"points": [[[[1, 2, 3]]]]}, "got 3 numbers where x and y belong"),
        ({"points": [[[[1, None]]]]}, r"got \[1, None\] where x and y belong"),
        ({"points": [[[None]]]}, "got None where a list of x and y belongs"),
        ({"points": "here"}, "got 'here' where a list of images belongs"),
        ({"points": [[[[True, False]]]]}, "where x and y belong"),
        ({"points": [[[[[1, 2]]]]]}, "where x and y belong"),
        ({"points": [[[[1, 1]]], [[[1, 1]]]]}, "one entry per image: 1; got 2"),
        ({"points": [[[[201, 5]]]]}, r"Point \(201, 5\) lies outside of image 0, which is 200 wide and 100 high"),
        ({"points": [[[[5, -1]]]]}, "lies outside"),
        ({"points": [[[[float("nan"), 1]]]]}, "lies outside"),
        ({"labels": [[[1]]]}, "input_labels without input_points"),
        (
            {"points": [[[[1, 1]]]], "labels": [[[1, 0]]]},
            r"Each point needs one label; image 0 has \[1\] points and \[2\]",
        ),
        ({"points": [[[[1, 1]]]], "labels": [[1]]}, "input_labels has 3 levels, images > objects > labels"),
        ({"points": [[[[1, 1]]]], "labels": [[[4]]]}, r"A label is one of 1 \(on the object\), 0 \(not on it\).*got 4"),
        ({"points": [[[[1, 1]]]], "labels": [[[-10]]]}, "has the label of padding"),
        ({"boxes": [[1, 2, 3, 4]]}, "input_boxes has 3 levels, images > objects > x1, y1, x2, y2"),
        ({"boxes": [[[1, 2, 3]]]}, "got 3 numbers where x1, y1, x2, y2 belong"),
        ({"boxes": [[[3, 2, 1, 4]]]}, r"x1 <= x2 and y1 <= y2; got \[3, 2, 1, 4\]"),
        ({"boxes": [[[0, 0, float("inf"), 4]]]}, "finite"),
        ({"points": [[[[1, 1]]]], "boxes": [[[1, 1, 2, 2]] * 2]}, r"points for 1 object\(s\) and boxes for 2"),
    ],
)
def test_what_cannot_be_read_says_what_was_expected_and_given(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(**arguments)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 300) | st.floats() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=12,
)


@given(points=ANYTHING, labels=ANYTHING, boxes=ANYTHING)
def test_nothing_but_a_value_error_ever_comes_out(points: object, labels: object, boxes: object) -> None:
    try:
        inputs = read(points, labels, boxes)
    except ValueError:
        return
    assert all(part is None or isinstance(part, torch.Tensor) for part in inputs)
