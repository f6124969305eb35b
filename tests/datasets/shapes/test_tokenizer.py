"""The small tokenizer: the words of the shapes whole, anything else in pieces."""

from pathlib import Path

import pytest

from sam3_hf.datasets.shapes.tokenizer import WORDS, shapes_tokenizer
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.processing_sam3 import Sam3Processor

TOKENIZER = shapes_tokenizer()


def small_processor() -> Sam3Processor:
    images = Sam3ImageProcessor(size={"height": 168, "width": 168}, mask_size={"height": 48, "width": 48})
    return Sam3Processor(images, TOKENIZER)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_shapes_is_one_token(word: str) -> None:
    assert TOKENIZER.tokenize(word) == [word + "</w>"]


@pytest.mark.parametrize("text", ["a dog", "Grüße", "🐶 on a skateboard", "日本語", "x" * 20, "redcircle", "!?"])
def test_any_other_text_is_read_in_pieces_and_can_be_written_again(text: str) -> None:
    ids = TOKENIZER(text)["input_ids"]
    assert all(0 <= number < len(TOKENIZER) for number in ids)
    assert TOKENIZER.decode(ids, skip_special_tokens=True).replace(" ", "") == text.lower().replace(" ", "")


def test_the_vocabulary_is_small_and_ends_with_start_and_end() -> None:
    assert len(TOKENIZER) == 651
    assert (TOKENIZER.bos_token_id, TOKENIZER.eos_token_id) == (len(TOKENIZER) - 2, len(TOKENIZER) - 1)


def test_ids_stay_what_models_were_trained_with() -> None:
    assert TOKENIZER("large striped red squares")["input_ids"] == [649, 618, 643, 549, 640, 650]


def test_letters_are_lowered() -> None:
    assert TOKENIZER("RED Circle")["input_ids"] == TOKENIZER("red circle")["input_ids"]


def test_a_saved_processor_reads_texts_as_before(tmp_path: Path) -> None:
    processor = small_processor()
    processor.save_pretrained(tmp_path)
    texts = ["large striped red circles", "visual", "🐶", ""]
    encoded = Sam3Processor.from_pretrained(tmp_path)(text=texts, return_tensors="pt")
    before = processor(text=texts, return_tensors="pt")
    assert encoded["input_ids"].shape == (4, 32)
    assert encoded["input_ids"].equal(before["input_ids"])
    assert encoded["attention_mask"].sum(dim=1).tolist()[:2] == [6, 3]
