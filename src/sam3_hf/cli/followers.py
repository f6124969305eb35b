"""The two ways to follow: what matches phrases and boxes, found on every frame, or single objects that points show.

session, frame after frame -> what is known of which frames by then -> objects with masks at the video's size
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Bool
from torch import Tensor

from sam3_hf.cli.track_prompts import Clicks, Size, TrackPrompts
from sam3_hf.ops.masks import binarize_at, boxes_of_masks, encode_rle
from sam3_hf.results import CodedInstance
from sam3_hf.video.delay import Delay
from sam3_hf.video_io.json_lines import TrackedObject


class Found(NamedTuple):
    """What is known of a frame; its objects are computed when they are asked for, in whatever thread that is."""

    place: int
    objects: Callable[[], list[TrackedObject]]


class Step(NamedTuple):
    """A frame that was gone through, and the frames that everything is known of by now, in order."""

    place: int
    found: list[Found]


class Follower(ABC):
    """A model, a session, and what was asked.

    Args:
        loaded: The model and its processor.
        prompts: What to follow.
        reel: The video, as sessions read it.
        state: A folder that `save` wrote, to go on from.
    """

    def __init__(self, loaded: Any, prompts: TrackPrompts, reel: Any, state: Path | None = None) -> None:
        self.model, self.processor = loaded
        self.prompts, self.device = prompts, self.model.device
        if state is None:
            options = {"inference_device": self.device, "dtype": self.model.dtype}
            self.session = self.processor.init_video_session(reel, **options)
            self._say_all()
        else:
            self.session = self.processor.load_video_session(state, reel, inference_device=self.device)

    def save(self, folder: Path) -> None:
        """Write all that is known, between two steps."""
        self.session.save(folder)

    def steps(self, first: int) -> Iterator[Step]:
        """Go through the video from a frame on; frames before the first prompt hold nothing."""
        for place in range(first, self.prompts.first):
            if not self.session.frames.has(place):
                return
            yield Step(place, [Found(place, list)])
        yield from self._go(max(first, self.prompts.first))

    def finish(self) -> list[Found]:
        """What is left when the video ends."""
        return []

    @property
    def _size(self) -> Size:
        return self.session.frames.size

    @abstractmethod
    def _say_all(self) -> None:
        """Tell the session what is known beforehand."""

    @abstractmethod
    def _go(self, first: int) -> Iterator[Step]:
        """Steps from a frame on."""


class ConceptFollower(Follower):
    """Follows what phrases and boxes find; points correct that on the frames they are on."""

    def finish(self) -> list[Found]:
        """What is left when the video ends."""
        return [self._found(result) for result in self.model.finish(self.session)]

    def _say_all(self) -> None:
        texts = self.prompts.texts
        if texts:
            self.processor.add_text_prompt(self.session, texts)
        for place, boxes in self.prompts.boxes_by_frame().items():
            corners, signs = [list(box[:4]) for box in boxes], [int(box.positive) for box in boxes]
            for text in texts or [None]:
                self.processor.add_box_prompt(self.session, place, corners, signs, text, original_size=self._size)

    def _go(self, first: int) -> Iterator[Step]:
        session, clicks = self.session, self.prompts.clicks_by_frame()
        session.delay, place = session.delay or Delay.of(self.model.config), first
        while session.frames.has(place):
            result = self.model(session, frame_idx=place)
            if place in clicks:
                _say_clicks(self.processor, session, place, clicks[place])
                result = self.model(session, frame_idx=place)
            due = session.delay.add(result, session.register)
            yield Step(place, [self._found(each) for each in due])
            place += 1

    def _found(self, result: Any) -> Found:
        return Found(result.frame_idx, partial(self._objects, result))

    def _objects(self, result: Any) -> list[TrackedObject]:
        shown = self.processor.postprocess_outputs(self.session, result)
        text_of = {number: text for text, ids in shown["prompt_to_obj_ids"].items() for number in ids}
        ids = shown["object_ids"].tolist()
        texts = [text_of.get(number) if self.prompts.texts else None for number in ids]
        return _tracked(ids, texts, shown["scores"].tolist(), shown["masks"].cpu())


class ClickFollower(Follower):
    """Follows the objects that points show; everything that is said is known from the first frame on."""

    def _say_all(self) -> None:
        for place, clicks in self.prompts.clicks_by_frame().items():
            _say_clicks(self.processor, self.session, place, clicks)

    def _go(self, first: int) -> Iterator[Step]:
        if self.session.frames.has(first):
            for result in self.model.propagate_in_video_iterator(self.session, first):
                yield Step(result.frame_idx, [Found(result.frame_idx, partial(self._objects, result))])

    def _objects(self, result: Any) -> list[TrackedObject]:
        masks = binarize_at(result.pred_masks[:, 0], self._size, 0.0).cpu()
        scores = result.object_score_logits[:, 0].float().sigmoid().tolist()
        return _tracked(result.object_ids, [None] * len(masks), scores, masks)


def _say_clicks(processor: Any, session: Any, place: int, clicks: dict[int, Clicks]) -> None:
    for number, (points, labels) in clicks.items():
        said = {"input_points": [[[list(point) for point in points]]], "input_labels": [[labels]]}
        processor.add_inputs_to_inference_session(session, place, number, **said)


def _tracked(
    ids: list[int], texts: list[str | None], scores: list[float], masks: Bool[Tensor, "N H W"]
) -> list[TrackedObject]:
    """Objects that are seen, by id."""
    boxes = boxes_of_masks(masks).tolist()
    objects = [
        TrackedObject(number, text, CodedInstance(score, tuple(box), encode_rle(mask)))
        for number, text, score, box, mask in zip(ids, texts, scores, boxes, masks, strict=True)
        if box[2] > box[0]
    ]
    return sorted(objects, key=lambda each: each.id)
