from pathlib import Path

import pytest

from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.track_job import TrackJob
from sam3_hf.cli.track_prompts import check_inside, read_prompts


def job(text=(), box=(), point=(), category_id=()):
    rest = {"fps": None, "model": "m", "dtype": "auto", "device": "cpu", "overlay": False, "resume": False}
    lists = {"text": list(text), "box": list(box), "point": list(point), "category_id": list(category_id)}
    return TrackJob(video="a.mp4", frames=(0, None, 1), output=Path("out"), save_every=30, video_id=0, **rest, **lists)


def test_points_and_boxes_are_grouped_by_frame_and_object():
    prompts = read_prompts(
        job(["cat"], ["3,1,2,30,40", "3, 5,6,7,8, neg"], ["7,3,10,20", "7,3,11,21,neg", "9,3,1,1", "7,5,2,2"])
    )
    assert prompts.boxes_by_frame() == {3: [(1, 2, 30, 40, True), (5, 6, 7, 8, False)]}
    assert prompts.clicks_by_frame() == {
        3: {7: ([(10, 20), (11, 21)], [1, 0]), 9: ([(1, 1)], [1])},
        5: {7: ([(2, 2)], [1])},
    }


def test_frames_of_prompts_become_places_among_the_chosen_ones():
    prompts = read_prompts(job(point=["1,10,5,5", "2,16,5,5"])).placed(range(4, 20, 3))
    assert [each.frame for each in prompts.points] == [2, 4]
    assert prompts.first == 2
    with pytest.raises(CommandError, match=r"Frame 11 of a prompt is not among .* 4 to 19, every 3"):
        read_prompts(job(point=["1,11,5,5"])).placed(range(4, 20, 3))


def test_phrases_are_looked_for_from_the_first_frame_on():
    assert read_prompts(job(["cat"], point=["1,10,5,5"])).first == 0
    assert read_prompts(job(box=["4,1,2,3,4"], point=["1,10,5,5"])).first == 4
    assert not read_prompts(job(point=["1,10,5,5"])).of_concepts


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Nothing to follow; pass --text, --box or --point"),
        ({"point": ["1,2,3"]}, "--point '1,2,3' is not id,frame,x,y or id,frame,x,y,neg"),
        ({"point": ["1,-2,3,4"]}, "--point '1,-2,3,4' is not"),
        ({"point": ["a,2,3,4"]}, "--point 'a,2,3,4' is not"),
        ({"point": ["1,2,3,4,no"]}, "--point '1,2,3,4,no' is not"),
        ({"box": ["1,2,3,4"]}, "--box '1,2,3,4' is not frame,x1,y1,x2,y2 or frame,x1,y1,x2,y2,neg"),
        ({"box": ["1.5,2,3,4,5"]}, "--box '1.5,2,3,4,5' is not"),
        ({"box": ["1,2,3,4,5,neg"]}, "at least one --box shows what to look for"),
        ({"text": ["a", "a"]}, "Every --text is a phrase of its own"),
        ({"text": [" "]}, "none is empty"),
        ({"text": ["a", "b"], "category_id": [1]}, "Pass --category-id once for each --text; got 1 for 2"),
    ],
)
def test_what_cannot_be_read_is_refused(given, message):
    with pytest.raises(CommandError, match=message):
        read_prompts(job(**given))


def test_points_and_boxes_lie_in_the_picture():
    check_inside(read_prompts(job(box=["0,90,60,200,200"], point=["0,0,96,72"])), (72, 96))
    with pytest.raises(CommandError, match=r"Point \(97.0, 5.0\) of object 3 lies outside"):
        check_inside(read_prompts(job(point=["3,0,97,5"])), (72, 96))
    with pytest.raises(CommandError, match="The box 96,0,99,9 lies outside"):
        check_inside(read_prompts(job(box=["0,96,0,99,9"])), (72, 96))
