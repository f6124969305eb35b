"""Clips of moving shapes as a dataset: the same seed and number give the same clip everywhere.

seed, number -> film -> frames, masks, phrases -> ClipExample
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sam3_hf.datasets.examples import ClipExample, ClipPrompt
from sam3_hf.datasets.shapes.chance import generator
from sam3_hf.datasets.shapes.dataset import any_size, check_numbers
from sam3_hf.datasets.shapes.film import Film, any_film
from sam3_hf.datasets.shapes.prompts import any_asks

# Apart from the numbers of other draws with the same seed.
_SIZE, _FILM, _PROMPTS = 1, 2, 3


@dataclass(frozen=True)
class ShapesClips:
    """Clips in which coloured shapes move, meet, hide and come back, with phrases for them.

    Sizes change, so no phrase names them. Objects are numbered from 1, from back to front.

    Args:
        seed: 0 or more.
        length: Number of clips.
        frames: Frames of each clip.
        prompts_per_clip: As many phrases for each, about half of which mean something.
        image_side: Length of the longer side in pixels; without it, each clip has a size of its own.
    """

    seed: int
    length: int
    frames: int = 16
    prompts_per_clip: int = 4
    image_side: int | None = 256

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_numbers(self.seed, self.length, self.prompts_per_clip, self.image_side)
        if self.frames < 2:
            raise ValueError(f"A clip needs at least 2 frames; got {self.frames}.")

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> ClipExample:
        film = self.film(index)
        shots = list(film.shots())
        numbers = np.arange(1, len(film.tracks) + 1)
        return ClipExample(
            frames=tuple(Image.fromarray(shot.pixels) for shot in shots),
            object_ids=numbers,
            masks=np.stack([shot.ids for shot in shots])[:, None] == numbers.astype(np.uint8)[:, None, None],
            visible=np.stack([shot.visible for shot in shots]),
            prompts=self.prompts(index, film),
            clip_id=index % self.length,
        )

    def film(self, index: int) -> Film:
        """The clip before its frames are drawn, to draw them one by one."""
        if not -self.length <= index < self.length:
            raise IndexError(f"No clip {index} among {self.length}.")
        number = index % self.length
        size = any_size(generator(self.seed, number, _SIZE), self.image_side)
        return any_film((self.seed, number, _FILM), size, self.frames)

    def prompts(self, index: int, film: Film) -> tuple[ClipPrompt, ...]:
        """Phrases for a clip, with the numbers of the objects they mean."""
        rng = generator(self.seed, index % self.length, _PROMPTS)
        asks = any_asks(rng, film.cast, self.prompts_per_clip, examples_share=0.0)
        return tuple(ClipPrompt(ask.text, np.asarray(ask.targets, np.int64) + 1) for ask in asks)
