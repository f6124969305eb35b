"""What `track` follows, as it is typed: phrases, boxes and points on frames.

`frame,x1,y1,x2,y2`, `id,frame,x,y` -> numbers -> places among the chosen frames, inside the picture -> TrackPrompts
"""

from collections import defaultdict
from typing import Any, NamedTuple

from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.prompts import read_box, read_point
from sam3_hf.cli.track_job import TrackJob
from sam3_hf.results import ExampleBox
from sam3_hf.segmentation import check_boxes_inside

Size = tuple[int, int]


class BoxAt(NamedTuple):
    """An example on a frame."""

    frame: int
    box: ExampleBox


class PointAt(NamedTuple):
    """A pixel of an object on a frame, or one that is not of it."""

    id: int
    frame: int
    x: float
    y: float
    positive: bool


class Clicks(NamedTuple):
    """All points on one object on one frame."""

    points: list[tuple[float, float]]
    labels: list[int]


class TrackPrompts(NamedTuple):
    """What to follow; frames are those of the whole video, or places among the chosen ones after `placed`."""

    texts: list[str]
    boxes: list[BoxAt]
    points: list[PointAt]

    @property
    def of_concepts(self) -> bool:
        """Whether something is looked for, and not only pointed at."""
        return bool(self.texts or self.boxes)

    @property
    def first(self) -> int:
        """The first frame on which there is anything to do."""
        return 0 if self.texts else min(each.frame for each in (*self.boxes, *self.points))

    def boxes_by_frame(self) -> dict[int, list[ExampleBox]]:
        """Examples of each frame."""
        frames = defaultdict(list)
        for frame, box in self.boxes:
            frames[frame].append(box)
        return dict(frames)

    def clicks_by_frame(self) -> dict[int, dict[int, Clicks]]:
        """Points of each frame and object."""
        frames: dict[int, dict[int, Clicks]] = defaultdict(dict)
        for each in self.points:
            clicks = frames[each.frame].setdefault(each.id, Clicks([], []))
            clicks.points.append((each.x, each.y))
            clicks.labels.append(int(each.positive))
        return dict(frames)

    def placed(self, numbers: range | None) -> "TrackPrompts":
        """The same with places among the chosen frames.

        Args:
            numbers: The chosen frames; `None` where all are, of an unknown number.

        Raises:
            CommandError: A frame is not among them.
        """
        if numbers is None:
            return self
        absent = sorted({each.frame for each in (*self.boxes, *self.points)} - set(numbers))
        if absent:
            shown = f"{numbers[0]} to {numbers[-1]}" + (f", every {numbers.step}" if numbers.step > 1 else "")
            raise CommandError(f"Frame {absent[0]} of a prompt is not among the frames to go through, {shown}.")
        boxes = [each._replace(frame=numbers.index(each.frame)) for each in self.boxes]
        return TrackPrompts(self.texts, boxes, [each._replace(frame=numbers.index(each.frame)) for each in self.points])

    def to_dict(self) -> dict[str, Any]:
        """As a JSON file holds it."""
        return {
            "texts": self.texts,
            "boxes": [[frame, *box] for frame, box in self.boxes],
            "points": [list(each) for each in self.points],
        }


def read_prompts(job: TrackJob) -> TrackPrompts:
    """What was typed.

    Raises:
        CommandError: It cannot be read, or there is nothing to follow.
    """
    if not (job.text or job.box or job.point):
        raise CommandError("Nothing to follow; pass --text, --box or --point.")
    if len(set(job.text)) != len(job.text) or not all(text.strip() for text in job.text):
        raise CommandError("Every --text is a phrase of its own, and none is empty.")
    if job.category_id and len(job.category_id) != max(len(job.text), 1):
        raise CommandError(f"Pass --category-id once for each --text; got {len(job.category_id)} for {len(job.text)}.")
    boxes, points = [_read_box(text) for text in job.box], [_read_point(text) for text in job.point]
    if job.box and not job.text and not any(each.box.positive for each in boxes):
        raise CommandError("Without --text, at least one --box shows what to look for and is not negative.")
    return TrackPrompts(job.text, boxes, points)


def check_inside(prompts: TrackPrompts, size: Size) -> None:
    """Refuse boxes and points that are not in the picture.

    Raises:
        CommandError: One is not.
    """
    height, width = size
    try:
        check_boxes_inside([each.box for each in prompts.boxes], size)
    except ValueError as error:
        raise CommandError(str(error)) from error
    for each in prompts.points:
        if not (0 <= each.x <= width and 0 <= each.y <= height):
            raise CommandError(
                f"Point ({each.x}, {each.y}) of object {each.id} lies outside of the video, which is {width} wide and "
                f"{height} high."
            )


def _read_box(text: str) -> BoxAt:
    frame, _, rest = text.partition(",")
    try:
        return BoxAt(_whole(frame), ExampleBox(*read_box(rest)))
    except (CommandError, ValueError) as error:
        form = "frame,x1,y1,x2,y2 or frame,x1,y1,x2,y2,neg"
        raise CommandError(f"--box {text!r} is not {form} with numbers in pixels.") from error


def _read_point(text: str) -> PointAt:
    parts = text.split(",", 2)
    try:
        number, frame, rest = parts
        return PointAt(_whole(number), _whole(frame), *read_point(rest))
    except (CommandError, ValueError) as error:
        form = "id,frame,x,y or id,frame,x,y,neg"
        raise CommandError(f"--point {text!r} is not {form} with numbers in pixels.") from error


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number
