import gzip

import pytest
from transformers import AutoTokenizer, CLIPTokenizer

from sam3_hf.tokenization_sam3 import build_tokenizer
from tests.support.tokenizer import TINY_VOCABULARY, full_tokenizer, merges_file, write_cut_merges


def test_the_vocabulary_is_clips():
    tokenizer = full_tokenizer()
    assert len(tokenizer) == 49408
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (49406, 49407)
    assert tokenizer("!").input_ids == [49406, 256, 49407]
    assert tokenizer.decode([2368, 1929]) == "cat dog"


def test_packed_and_unpacked_files_and_their_folders_give_the_same_tokenizer(tmp_path):
    unpacked = tmp_path / "bpe_simple_vocab_16e6.txt"
    unpacked.write_bytes(gzip.decompress(merges_file().read_bytes()))
    for source in (str(unpacked), unpacked, tmp_path):
        assert build_tokenizer(source).get_vocab() == full_tokenizer().get_vocab()


def test_fewer_merges_give_a_smaller_vocabulary(tmp_path):
    tokenizer = build_tokenizer(write_cut_merges(tmp_path / "merges.txt"))
    assert len(tokenizer) == TINY_VOCABULARY
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (TINY_VOCABULARY - 2, TINY_VOCABULARY - 1)


@pytest.mark.parametrize("loader", [AutoTokenizer, CLIPTokenizer])
def test_plain_transformers_loads_what_was_saved(tmp_path, loader):
    full_tokenizer().save_pretrained(tmp_path)
    assert loader.from_pretrained(tmp_path)("it's a CAT!").input_ids == full_tokenizer()("it's a CAT!").input_ids
    assert build_tokenizer(tmp_path)("a cat").input_ids == [49406, 320, 2368, 49407]


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="No merges file"):
        build_tokenizer(tmp_path / "bpe_simple_vocab_16e6.txt.gz")


def test_a_folder_without_tokenizer_says_so(tmp_path):
    with pytest.raises((OSError, ValueError), match=tmp_path.name):
        build_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a merges file"),
        (b"\x89PNG\r\n\x1a\n\xff\xff", "not a merges file"),
        (b"hello\nworld\n", "not a merges file"),
        (b"#version: 0.2\ni n\nt h e\n", "line 3"),
        (b"#version: 0.2\ni n\nt", "line 3"),
        (b"#version: 0.2\nunheard of\n", "unheard of"),
        (b"#version: 0.2\ni n\ni n\n", "twice"),
        (merges_file().read_bytes()[:5000], "damaged"),
    ],
)
def test_a_damaged_file_says_so(tmp_path, content, message):
    path = tmp_path / "merges.txt.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        build_tokenizer(path)
