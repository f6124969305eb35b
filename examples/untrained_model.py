"""Write a small SAM 3 with random weights, to try commands and code before you have access to the released ones.

    python examples/untrained_model.py FOLDER

Its masks mean nothing. It takes images of 336 px, reads texts letter by letter, and is never sure: pass a low
threshold.
"""

import sys
import tempfile
from pathlib import Path

import torch

from sam3_hf import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor, build_tokenizer

WIDTH = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "num_layers": 2}


def main(folder: Path) -> None:
    """Write model and processor."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        merges = Path(scratch) / "merges.txt"
        merges.write_text("#version: letters alone\n")
        tokenizer = build_tokenizer(merges)
    backbone = {
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": 336,
        "pretrain_image_size": 168,
        "window_size": 12,
        "global_attn_indexes": [1, 3],
    }
    config = Sam3Config(
        vision_config={"backbone_config": backbone, "fpn_hidden_size": 64},
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 32,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        geometry_encoder_config=WIDTH,
        detr_encoder_config=WIDTH,
        detr_decoder_config=WIDTH | {"num_queries": 20},
        mask_decoder_config={"hidden_size": 64, "num_attention_heads": 4},
        initializer_range=0.15,
    )
    model = Sam3Model(config)
    model.save_pretrained(folder)
    images = Sam3ImageProcessor(size={"height": 336, "width": 336}, mask_size={"height": 96, "width": 96})
    Sam3Processor(images, tokenizer).save_pretrained(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
