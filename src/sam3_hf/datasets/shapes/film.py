"""A clip before it is seen: frames are drawn one by one, in any order.

background, tracks, bars, harm -> frame number -> Shot: pixels [H, W, 3], ids [H, W], how much is seen of each figure
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from sam3_hf.datasets.shapes.backgrounds import any_tone, paint_background
from sam3_hf.datasets.shapes.chance import between, generator, happens
from sam3_hf.datasets.shapes.colours import Tone
from sam3_hf.datasets.shapes.degradations import Harm, any_harm, harmed
from sam3_hf.datasets.shapes.figures import Canvas, Figure, Stamp, lay, outlined_against, paint, windows
from sam3_hf.datasets.shapes.motion import Bar, Track, any_bars, any_tracks
from sam3_hf.datasets.shapes.phrases import Cast
from sam3_hf.datasets.shapes.plans import any_manner, figure_for, some_wishes
from sam3_hf.datasets.shapes.scene import LEAST_VISIBLE

_MOST_FIGURES = 6
# Fewer pixels of a figure than this share of it, or than this many, count as nothing seen.
_LEAST_SHARE, _LEAST_PIXELS = 0.02, 8


class Shot(NamedTuple):
    """One frame.

    Args:
        pixels: RGB.
        ids: Per pixel the number of the figure that is seen there, counted from 1; 0 is anything else.
        visible: Share of each figure that is seen, 0..1.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    ids: UInt8[np.ndarray, "H W"]
    visible: Float[np.ndarray, " n"]


class Film(NamedTuple):
    """All that the frames are drawn from; `seeds` are for their noise."""

    seeds: tuple[int, ...]
    length: int
    size: tuple[int, int]
    background: Canvas
    has_regions: bool
    pan: tuple[int, int]
    tracks: tuple[Track, ...]
    bars: tuple[Bar, ...]
    bar_tone: Tone
    harm: Harm

    @property
    def cast(self) -> Cast:
        """What phrases speak of; bars may count as objects to someone."""
        return Cast(tuple(track.figure for track in self.tracks), self.has_regions or bool(self.bars))

    def shot(self, number: int) -> Shot:
        """A frame by its number."""
        time = number / (self.length - 1)
        laid = [(figure, lay(figure, centre)) for figure, centre in (track.at(time) for track in self.tracks)]
        canvas = self._behind(time)
        for figure, stamp in laid:
            paint(figure, stamp, canvas)
        for bar in self.bars:
            canvas[bar.window] = np.asarray(self.bar_tone, np.float32)
        ids, visible = self._truth([stamp for _, stamp in laid])
        return Shot(harmed(generator(*self.seeds, number), canvas, self.harm), ids, visible)

    def shots(self) -> Iterator[Shot]:
        """All frames in order, each drawn when its turn comes."""
        return map(self.shot, range(self.length))

    def most_visible(self) -> Float[np.ndarray, " n"]:
        """How much is seen of each figure at best, without drawing a frame."""
        times = np.linspace(0, 1, self.length).tolist()
        return np.max([self._truth([lay(*track.at(time)) for track in self.tracks])[1] for time in times], axis=0)

    def _behind(self, time: float) -> Canvas:
        y, x = (round(distance * time) for distance in self.pan)
        height, width = self.size
        return self.background[y : y + height, x : x + width].copy()

    def _truth(self, stamps: list[Stamp]) -> tuple[np.ndarray, np.ndarray]:
        ids = np.zeros(self.size, np.uint8)
        for number, stamp in enumerate(stamps, start=1):
            there, part = windows(stamp, self.size)
            ids[there][stamp.solid[part]] = number
        for bar in self.bars:
            ids[bar.window] = 0
        areas = np.asarray([int(stamp.solid.sum()) for stamp in stamps])
        pixels = np.bincount(ids.ravel(), minlength=len(stamps) + 1)[1:]
        is_seen = pixels >= np.maximum(_LEAST_SHARE * areas, _LEAST_PIXELS)
        kept = np.concatenate([[0], np.where(is_seen, np.arange(1, len(stamps) + 1), 0)]).astype(np.uint8)
        return kept[ids], np.where(is_seen, pixels / areas, 0.0).astype(np.float32)


def any_film(seeds: tuple[int, ...], size: tuple[int, int], length: int) -> Film:
    """Some film; every figure can be recognized in at least one of its frames."""
    rng = generator(*seeds)
    pan = (int(between(rng, 0, 0.15) * size[0]), int(between(rng, 0, 0.25) * size[1])) if happens(rng, 0.4) else (0, 0)
    is_tidy = happens(rng, 0.2)
    background = paint_background(rng, (size[0] + pan[0], size[1] + pan[1]), is_tidy)
    figures, bars = _figures(rng, background.pixels, min(size), is_tidy), any_bars(rng, size)
    film = Film(
        seeds=seeds,
        length=length,
        size=size,
        background=background.pixels,
        has_regions=background.has_regions,
        pan=pan,
        tracks=any_tracks(rng, figures, size, bars),
        bars=bars,
        bar_tone=any_tone(rng),
        harm=Harm() if is_tidy else any_harm(rng),
    )
    visible = zip(film.tracks, film.most_visible(), strict=True)
    return film._replace(tracks=tuple(track for track, share in visible if share > LEAST_VISIBLE))


def _figures(rng: np.random.Generator, background: Canvas, shorter_side: int, is_tidy: bool) -> list[Figure]:
    """Figures that stand out from the whole background and from each other; their sizes change, so have no words."""
    manner = any_manner(rng, is_tidy)
    around, figures = background[::8, ::8].reshape(-1, 3), []
    for wish in some_wishes(rng, _MOST_FIGURES):
        figure = figure_for(rng, wish, shorter_side, manner)
        figures.append(outlined_against(replace(figure, size=""), around))
        around = np.concatenate([around, np.full((len(around) // 10 + 1, 3), figure.tone, np.float32)])
    return figures
