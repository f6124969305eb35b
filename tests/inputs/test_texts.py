import json

import pytest
import torch
from tests.support.checkpoints import TINY
from tests.support.tokenizer import full_tokenizer

from sam3_hf.inputs.texts import clean, tokenize

CASES = json.loads((TINY / "tokenizer_cases.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case["text"])[:30])
def test_ids_are_those_of_the_original(case):
    input_ids, attention_mask = tokenize([case["text"]], full_tokenizer())
    assert input_ids[0].tolist() == case["input_ids"]
    assert attention_mask[0].tolist() == [int(token != 0) for token in case["input_ids"]]


def test_many_texts_equal_each_alone():
    texts = [case["text"] for case in CASES]
    together, _ = tokenize(texts, full_tokenizer())
    assert torch.equal(together, torch.cat([tokenize([text], full_tokenizer())[0] for text in texts]))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a<start_of_text>b", "a <start_of_text> b"),
        ("<START_OF_TEXT><end_of_text>", "<start_of_text> <end_of_text>"),
        ("?<start_of_text>", "?< start _ of _ text >"),
        ("x<|endoftext|>", "x <| endoftext |>"),
    ],
)
def test_special_tokens_are_read_where_the_original_reads_them(text, same):
    assert torch.equal(tokenize([text], full_tokenizer())[0], tokenize([same], full_tokenizer())[0])


def test_long_texts_keep_the_end_token():
    input_ids, attention_mask = tokenize(["dog " * 100], full_tokenizer())
    assert input_ids.shape == (1, 32)
    assert input_ids[0, -1] == 49407
    assert attention_mask.all()


def test_cleaning_mends_encoding_entities_and_white_space():
    assert clean("  A&amp;amp;B\t\nâ€œCatâ€\x9d  ") == 'a&b "cat"'
