"""The CLIP tokenizer, from OpenAI's merges file, a folder, or the Hub.

lines "a b" (merge a and b) -> vocabulary: 256 bytes, 256 bytes that end a word, one entry per merge, start, end
"""

import gzip
import re
import zlib
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from sam3_hf.hub import from_hub, hub_options
from sam3_hf.inputs.texts import CONTEXT_LENGTH

MERGES_FILES = ("bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt")
_SPECIAL = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
# Every byte, inside and at the end of a word.
_BYTES = 2 * 256
# The file holds more merges than CLIP's vocabulary of 49408 has room for.
_MERGES = 49408 - _BYTES - len(_SPECIAL)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def build_tokenizer(source: str | Path, **kwargs: Any) -> CLIPTokenizer:
    """CLIP's tokenizer, as plain `transformers` saves and loads it.

    It maps text to ids. `Sam3Processor` adds what SAM 3 needs besides: cleaning, padding with 0, the mask.

    Args:
        source: OpenAI's merges file `bpe_simple_vocab_16e6.txt.gz` (or unpacked), a folder with that file or with a
            saved tokenizer, or a Hub id. A file with fewer merges gives a smaller vocabulary, its last two ids are the
            start and the end token.
        **kwargs: Passed to `from_pretrained`, for saved tokenizers and Hub ids.

    Raises:
        FileNotFoundError: Neither a file nor a folder, and no Hub id.
        ValueError: The file is damaged or not a merges file.
        OSError: No tokenizer in this folder or Hub repository, or, as `HubError`, the Hub does not give it.
    """
    path = Path(source)
    if path.is_dir():
        path = next((path / name for name in MERGES_FILES if (path / name).is_file()), path)
    if path.is_file():
        return _from_merges(_read_merges(path))
    if not path.exists() and not _HUB_ID.fullmatch(str(source)):
        raise FileNotFoundError(f"No merges file, tokenizer folder or Hub id: {str(source)!r}.")
    with from_hub(source, **hub_options(kwargs)):
        return checked_tokenizer(CLIPTokenizer.from_pretrained(str(source), **kwargs), source)


def checked_tokenizer(tokenizer: Any, source: Any) -> Any:
    """The tokenizer that was loaded from `source`, if it is one: transformers makes an empty one of missing files.

    Raises:
        OSError: It has fewer entries than there are bytes.
    """
    if len(tokenizer) < _BYTES + len(_SPECIAL):
        raise OSError(f"No CLIP tokenizer in {str(source)!r}.")
    return tokenizer


def _from_merges(merges: list[Any]) -> CLIPTokenizer:
    symbols = list(bytes_to_unicode().values())
    entries = [*symbols, *(symbol + "</w>" for symbol in symbols), *map("".join, merges), *_SPECIAL.values()]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    stray = next((merge for merge in merges if not vocabulary.keys() >= set(merge)), None)
    if stray or len(vocabulary) != len(entries):
        raise ValueError(f"Not CLIP's merges: {' '.join(stray) if stray else 'a pair'} cannot be merged, or twice.")
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT_LENGTH, **_SPECIAL)


def _read_merges(path: Path) -> list[tuple[str, ...]]:
    """The merges in order of rank; the first line of the file is its version."""
    lines = _read_text(path).rstrip("\n").split("\n")
    if "#version" not in lines[0]:
        raise ValueError(f"{path} is not a merges file: its first line is {lines[0][:80]!r}, not a version.")
    merges = [tuple(line.split()) for line in lines[1 : _MERGES + 1]]
    for number, merge in enumerate(merges, start=2):
        if len(merge) != 2:
            raise ValueError(f"{path} is not a merges file: line {number} is {lines[number - 1]!r}, not two symbols.")
    return merges


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged or not a merges file: {error}") from error
