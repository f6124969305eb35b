from itertools import combinations

import pytest

from sam3_hf.visualization.colours import colour_of, text_colour_on


def luminance(colour):
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in (c / 255 for c in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_first_colours_are_far_apart():
    colours = [colour_of(number) for number in range(12)]
    assert min(sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5 for pair in combinations(colours, 2)) > 40


def test_colours_do_not_repeat_and_stay_the_same():
    colours = [colour_of(number) for number in range(200)]
    assert len(set(colours)) > 190
    assert colours == [colour_of(number) for number in range(200)]
    assert all(0 <= value <= 255 for colour in colours for value in colour)


@pytest.mark.parametrize("number", range(30))
def test_text_is_readable_on_every_colour(number):
    colour = colour_of(number)
    bright, dark = sorted([luminance(colour), luminance(text_colour_on(colour))], reverse=True)
    assert (bright + 0.05) / (dark + 0.05) > 4.5
