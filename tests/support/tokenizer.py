"""CLIP's merges file, whole or cut, and tokenizers made from it."""

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from transformers import CLIPTokenizer

from sam3_hf.tokenization_sam3 import build_tokenizer

# 256 bytes, the same at the end of a word, start and end: no vocabulary of bytes is smaller.
SMALLEST_VOCABULARY = 514
TINY_VOCABULARY = 1024


def merges_file() -> Path:
    """The file in the open_clip wheel, found without importing open_clip."""
    (folder,) = find_spec("open_clip").submodule_search_locations
    return Path(folder) / "bpe_simple_vocab_16e6.txt.gz"


def write_cut_merges(path: Path, vocabulary: int = TINY_VOCABULARY) -> Path:
    """A merges file for a vocabulary of so many entries; the last two are the start and the end token."""
    lines = gzip.decompress(merges_file().read_bytes()).decode().split("\n")
    path.write_text("\n".join(lines[: 1 + vocabulary - SMALLEST_VOCABULARY]) + "\n", encoding="utf-8")
    return path


@cache
def full_tokenizer() -> CLIPTokenizer:
    return build_tokenizer(merges_file())
