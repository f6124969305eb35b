import pytest

from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.processors import build_processor

RELEASED = read_config(None, "all")


def test_released_model_takes_images_of_1008_and_gives_masks_of_288_pixels(tmp_path):
    processor = build_processor(RELEASED, "none", tmp_path / "sam3.pt")
    assert (processor.size["height"], processor.size["width"]) == (1008, 1008)
    assert (processor.mask_size["height"], processor.mask_size["width"]) == (288, 288)


def test_a_vocabulary_smaller_than_the_models_is_refused(tmp_path):
    (tmp_path / "merges.txt").write_text("#version: 0.2\ni n\nt h\n")
    with pytest.raises(ConversionError, match="knows 516 tokens, the model 49408"):
        build_processor(RELEASED, tmp_path / "merges.txt", tmp_path / "sam3.pt")


def test_without_a_tokenizer_the_message_says_what_to_pass(tmp_path):
    with pytest.raises(ConversionError, match=r"does not exist\. Pass --tokenizer .*'none'"):
        build_processor(RELEASED, None, tmp_path / "sam3.pt")
