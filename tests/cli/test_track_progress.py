from rich.progress import Task

from sam3_hf.cli.track_progress import FrameBar, FramesPerSecond


def test_speed_is_told_in_frames_per_second():
    clock = iter([0.0, 10.0, 10.0, 10.0, 10.0])
    task = Task(0, "", total=40, completed=0, _get_time=lambda: next(clock))
    assert FramesPerSecond().render(task).plain == ""
    task.finished_speed = 12.5
    assert FramesPerSecond().render(task).plain == "12.5 fps"


def test_nothing_is_shown_where_nobody_looks(capfd):
    with FrameBar(10, 3) as bar:
        bar.advance()
    with FrameBar(None) as bar:
        bar.advance()
    assert capfd.readouterr() == ("", "")
