"""A tiny model with its processor as a folder that everything can be loaded from."""

from pathlib import Path

import torch

from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.tokenization_sam3 import build_tokenizer
from tests.support import golden
from tests.support.tokenizer import TINY_VOCABULARY, write_cut_merges


def tiny_processor(folder: Path) -> Sam3Processor:
    """A processor for the tiny model's image size, with a vocabulary of `TINY_VOCABULARY`; `folder` gets its merges."""
    images = Sam3ImageProcessor(size={"height": 168, "width": 168}, mask_size={"height": 48, "width": 48})
    return Sam3Processor(images, build_tokenizer(write_cut_merges(folder / "merges.txt")))


def finding_model() -> Sam3Model:
    """The recorded tiny model, with room for the tiny vocabulary, and sure that there is something to be found."""
    config = golden.tiny_config()
    config.text_config.vocab_size = TINY_VOCABULARY
    config.text_config.bos_token_id, config.text_config.eos_token_id = TINY_VOCABULARY - 2, TINY_VOCABULARY - 1
    model = Sam3Model(config).eval()
    weights = golden.tiny_weights()
    embedding = "text_encoder.text_model.embeddings.token_embedding.weight"
    generator = torch.Generator().manual_seed(0)
    vocabulary = torch.randn(TINY_VOCABULARY, weights[embedding].shape[1], generator=generator)
    presence = "detr_decoder.presence_head.layer3.bias"
    model.load_state_dict(weights | {embedding: 0.7 * vocabulary, presence: weights[presence] + 5})
    return model


def write_model_folder(folder: Path) -> Path:
    finding_model().save_pretrained(folder)
    tiny_processor(folder).save_pretrained(folder)
    return folder
