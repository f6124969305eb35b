import numpy as np
import pytest
import torch

from sam3_hf.inputs.prompts import lay_out

BOX = [1, 2, 3, 4]


def test_one_text_is_about_all_images():
    assert lay_out("cat", None, None, 2) == (["cat"], None, None, None)


def test_texts_are_one_per_image_or_all_about_one_image():
    assert lay_out(["cat", "dog"], None, None, 2).images == [0, 1]
    assert lay_out(["cat", "dog"], None, None, 1).images == [0, 0]
    assert lay_out(["cat", "dog"], None, None, None).images == [0, 1]


def test_texts_grouped_by_image_know_their_image():
    assert lay_out([["cat", "dog"], ["ear"]], None, None, 2) == (["cat", "dog", "ear"], None, None, [0, 0, 1])


def test_boxes_alone_ask_for_what_they_show():
    assert lay_out(None, [[BOX]], None, 1) == (["visual"], [[BOX]], None, [0])
    assert lay_out([None, "cat"], [[BOX], None], None, 2).texts == ["visual", "cat"]


def test_one_text_goes_with_the_boxes_of_every_row():
    assert lay_out("cat", [[BOX], None], None, 2).texts == ["cat", "cat"]


def test_boxes_grouped_by_image_follow_their_texts():
    boxes, labels = [[None, [BOX]], None], [[None, [0]], None]
    rows = lay_out([["cat", None], ["ear"]], boxes, labels, 2)
    assert rows == (["cat", "visual", "ear"], [None, [BOX], None], [None, [0], None], [0, 0, 1])
    assert lay_out(None, [[[BOX], [BOX]], [[BOX]]], None, 2).images == [0, 0, 1]


def test_arrays_and_tensors_read_like_lists():
    for boxes in (torch.tensor([[BOX]]), np.array([[BOX]]), [torch.tensor([BOX])], ((tuple(BOX),),)):
        assert lay_out(("cat",), boxes, torch.tensor([[1]]), 1) == (["cat"], [[BOX]], [[1]], [0])


def test_an_index_may_say_which_image_each_row_is_about():
    assert lay_out(["a", "b"], None, None, 3, torch.tensor([2, 0])).images == [2, 0]
    assert lay_out("a", None, None, 3, [2, 0]).texts == ["a", "a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "b"], None, None, 3), "2 prompt.* 3 images"),
        (([["a"], ["b"]], None, None, 3), "2 images, but 3"),
        ((["a", "b"], [[BOX]], None, 2), "'text': 2, 'input_boxes': 1"),
        ((["a"], [[BOX]], [[1], [1]], 1), "'input_boxes_labels': 2"),
        (("a", [[BOX]], None, 2), "1 prompt.* 2 images"),
        (([], None, None, 1), "one entry"),
        ((None, [], None, 1), "one entry"),
        (([[], []], None, None, 2), "one entry"),
        (([["a", "b"]], [[[BOX]]], None, 1), "lists of as many"),
        (([["a"], "b"], None, None, 2), "one list per image"),
        ((["a", "b"], [[[BOX]], [[BOX]]], None, 2), "one list per image"),
        ((None, [[[BOX]], None], None, 2), "one list per image"),
        ((["a", None], None, None, 2), r"prompt\(s\) \[1\] have neither"),
        ((None, [[BOX], None], None, 2), r"prompt\(s\) \[1\] have neither"),
        ((["a", 5], None, None, 2), "a string"),
        ((5, None, None, 2), "a string"),
        (("a", "boxes", None, 1), "input_boxes is a list"),
        (("a", None, [[1]], 1), "without input_boxes"),
        ((["a", "b"], None, None, 2, [0, 2]), "got 2"),
        ((["a", "b"], None, None, 2, [0, -1]), "got -1"),
        ((["a", "b"], None, None, 2, [0, 0.5]), "got 0.5"),
        ((["a", "b"], None, None, 2, [0]), "'image_index': 1"),
        (([["a"]], None, None, 1, [0]), "leave image_index out"),
    ],
)
def test_prompts_that_do_not_match_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        lay_out(*arguments)
