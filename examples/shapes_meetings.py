"""Clips of the embedded model's last lessons: cut to where objects hide, leave, and come back.

film -> how much of every object is seen on every frame -> frames, one after the other or every other one
                                                        -> objects that hide most, and at times one that does not

In most stretches of most clips nothing happens that a tracker of short experience would not do right.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from torch.utils.data import Dataset

from sam3_hf.datasets.examples import ClipExample
from sam3_hf.datasets.shapes.clips import ShapesClips

# Shares of an object that are seen: where it can be shown to a tracker, where it counts as hidden, and as back again.
_SHOWN, _HIDDEN, _BACK = 0.2, 0.45, 0.6
# What an object is worth that hides and comes back, that only hides, or that does neither.
_RETURNS, _HIDES, _STAYS = 1.0, 0.4, 0.1
# Chance of objects and of stretches of which nothing speaks.
_ANY_OBJECT, _ANY_STRETCH = 0.03, 0.02


class Stretch(NamedTuple):
    """Frames of a clip in a row, and what its objects are worth there."""

    frames: Int[np.ndarray, " T"]
    worth: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Meetings(Dataset):
    """Stretches of clips, one of each, drawn by what happens in them.

    Args:
        clips: The clips.
        frames: Frames of a stretch.
        objects: Objects of each, at most.
    """

    clips: ShapesClips
    frames: int = 8
    objects: int = 4

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipExample:
        """A stretch of a clip; that of a clip without objects has none."""
        chance = np.random.default_rng([self.clips.seed, index])
        clip = self.clips[index]
        frames, values = any_stretch(clip.visible, self.frames, chance)
        shown = np.flatnonzero(clip.visible[frames[0]] > 0)
        weight = values[shown] + _ANY_OBJECT
        count = min(self.objects, len(shown))
        some = np.sort(chance.choice(shown, count, replace=False, p=weight / weight.sum())) if count else shown
        return ClipExample(
            frames=tuple(clip.frames[number] for number in frames),
            object_ids=clip.object_ids[some],
            masks=clip.masks[frames][:, some],
            visible=clip.visible[frames][:, some],
            prompts=(),
            clip_id=clip.clip_id,
        )


def any_stretch(visible: Float[np.ndarray, "T n"], frames: int, chance: np.random.Generator) -> Stretch:
    """A stretch of a clip, the likelier the more happens to three of its objects; forwards or backwards."""
    steps = [step for step in (1, 2) if (frames - 1) * step < len(visible)]
    rows = [first + step * np.arange(frames) for step in steps for first in range(len(visible) - (frames - 1) * step)]
    every = [Stretch(each, worth(visible[each])) for row in rows for each in (row, row[::-1])]
    weight = np.asarray([np.sort(each.worth)[-3:].sum() ** 2 + _ANY_STRETCH for each in every])
    return every[int(chance.choice(len(every), p=weight / weight.sum()))]


def worth(visible: Float[np.ndarray, "T n"]) -> Float[np.ndarray, " n"]:
    """What each object is worth that is followed from the first frame on."""
    values = np.full(visible.shape[1], _STAYS)
    for number, seen in enumerate(visible.T):
        hidden = np.flatnonzero(seen[1:] < _HIDDEN)
        if seen[0] < _SHOWN:
            values[number] = 0.0
        elif len(hidden):
            values[number] = _RETURNS if (seen[1 + hidden[0] :] > _BACK).any() else _HIDES
    return values
