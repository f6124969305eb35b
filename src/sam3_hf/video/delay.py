"""Delay: results wait until it is known which of their objects last.

results in, one per frame -> results out, as many frames later as the delay says, without what was removed meanwhile
"""

from collections import deque
from typing import NamedTuple

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.video.register import Register
from sam3_hf.video.results import Sam3VideoSegmentationOutput


class Waiting(NamedTuple):
    """A result, and the objects that were unconfirmed after its frame."""

    result: Sam3VideoSegmentationOutput
    unconfirmed: set[int]


class Delay:
    """A queue of results. A result leaves it `latency` frames after its own frame, at the end at once.

    Whether an object is confirmed is asked `look_ahead` frames after the one that is shown.
    """

    def __init__(self, latency: int, look_ahead: int) -> None:
        self.latency, self.look_ahead = latency, look_ahead
        self.waiting: deque[Waiting] = deque()

    @classmethod
    def of(cls, config: Sam3VideoConfig) -> "Delay":
        """As long as the rules want it."""
        confirming = config.masklet_confirmation_enable
        look_ahead = config.masklet_confirmation_consecutive_det_thresh - 1 if confirming else 0
        return cls(max(config.hotstart_delay - 1, look_ahead, 0), look_ahead)

    def add(self, result: Sam3VideoSegmentationOutput, register: Register) -> list[Sam3VideoSegmentationOutput]:
        """The results that are due, given what is known of the objects by now."""
        self.waiting.append(Waiting(result, set(register.unconfirmed)))
        return [self._release(register)] if len(self.waiting) > self.latency else []

    @property
    def results(self) -> list[Sam3VideoSegmentationOutput]:
        """What waits, oldest first."""
        return [waiting.result for waiting in self.waiting]

    def correct(self, result: Sam3VideoSegmentationOutput) -> None:
        """Put a corrected result in the place of the one that waits."""
        for place, waiting in enumerate(self.waiting):
            if waiting.result.frame_idx == result.frame_idx:
                self.waiting[place] = waiting._replace(result=result)

    def flush(self, register: Register) -> list[Sam3VideoSegmentationOutput]:
        """All results that are left; the stream ends or changes direction."""
        return [self._release(register) for _ in range(len(self.waiting))]

    def _release(self, register: Register) -> Sam3VideoSegmentationOutput:
        later = self.waiting[min(self.look_ahead, len(self.waiting) - 1)]
        result = self.waiting.popleft().result
        result.unconfirmed_obj_ids = later.unconfirmed
        result.removed_obj_ids = set(register.removed)
        return result
