"""Texts as token ids, as the original model was trained on them.

texts -> cleaned -> pieces -> input_ids [P, 32], attention_mask [P, 32]
"""

import html
import re

import ftfy
import torch
from jaxtyping import Int64
from torch import Tensor
from transformers import PreTrainedTokenizerBase

CONTEXT_LENGTH = 32
# Parity: the padding id is also that of "!" inside a word such as "!^", which the mask therefore hides, as in training.
PAD_ID = 0
# A special token of the original only counts where no run of punctuation has swallowed its first character.
_SPECIAL_OR_PUNCTUATION = re.compile(r"<start_of_text>|<end_of_text>|(?:[^\w\s]|_)+")
_NOT_SPECIAL_HERE = re.compile(r"<\|(startoftext|endoftext)\|>")


def clean(text: str) -> str:
    """Mend the encoding, resolve HTML entities (twice nested ones too), join white space, lower the case."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def tokenize(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> tuple[Int64[Tensor, "P T"], Int64[Tensor, "P T"]]:
    """Token ids, padded with 0, and their mask (1 where the id is not 0); always 32 long, the last token is the end.

    Any CLIP tokenizer serves. The original's special tokens have other names than those of Hugging Face's files, so the
    former are translated, and the latter are broken up into the plain text that they are to the original.
    """
    special = {"<start_of_text>": str(tokenizer.bos_token), "<end_of_text>": str(tokenizer.eos_token)}

    def translate(found: re.Match[str]) -> str:
        return special.get(found[0], found[0])

    plain = [_NOT_SPECIAL_HERE.sub(r"<| \1 |>", clean(text)) for text in texts]
    prepared = [_SPECIAL_OR_PUNCTUATION.sub(translate, text) for text in plain]
    rows = tokenizer(prepared, truncation=True, max_length=CONTEXT_LENGTH)["input_ids"]
    input_ids = torch.tensor([row + [PAD_ID] * (CONTEXT_LENGTH - len(row)) for row in rows])
    return input_ids, (input_ids != PAD_ID).long()
