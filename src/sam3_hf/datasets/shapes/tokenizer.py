"""A tokenizer as CLIP's, for the words of the shapes: each is one token, all else falls into pieces and bytes.

words -> most frequent pair of symbols, merged again and again -> merges -> CLIPTokenizer
"""

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from sam3_hf.datasets.shapes.colours import COLOURS
from sam3_hf.datasets.shapes.figures import TEXTURES
from sam3_hf.datasets.shapes.phrases import NOUNS, plural
from sam3_hf.datasets.shapes.prompts import VISUAL
from sam3_hf.datasets.shapes.silhouettes import SHAPES
from sam3_hf.tokenization_sam3 import build_tokenizer

_NOUNS = (*SHAPES, *NOUNS)
WORDS = (*COLOURS, "gray", "small", "large", *TEXTURES, *_NOUNS, *map(plural, _NOUNS), VISUAL)


def shapes_tokenizer() -> CLIPTokenizer:
    """The tokenizer; as with CLIP's own, its last two ids are the start and the end of a text."""
    lines = [" ".join(pair) for pair in merges_for(WORDS)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "merges.txt"
        file.write_text("\n".join(["#version: shapes", *lines, ""]), encoding="utf-8")
        return build_tokenizer(file)


def merges_for(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of symbols in the order in which they are merged, until each word is one symbol."""
    split = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges = []
    while counts := Counter(pair for symbols in split for pair in pairwise(symbols)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        split = [_merged(symbols, best) for symbols in split]
    return merges


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged
