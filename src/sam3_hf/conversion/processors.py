"""The processor that belongs to a converted model: image sizes from its configuration, tokenizer from the user."""

from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer

from sam3_hf.conversion.errors import ConversionError
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.tokenization_sam3 import MERGES_FILES, build_tokenizer

_MASK_CELLS_PER_PATCH = 4


def build_processor(
    config: dict[str, Any], tokenizer: str | Path | None, checkpoint: Path
) -> Sam3Processor | Sam3ImageProcessor:
    """The whole processor, or the image processor alone if `tokenizer` is "none".

    Without a `tokenizer`, the vocabulary file of the original is looked for next to the checkpoint.
    """
    detector = config.get("detector_config", config)
    images = _image_processor(detector["vision_config"]["backbone_config"])
    source = _beside(checkpoint) if tokenizer is None else str(tokenizer)
    if source == "none":
        return images
    return Sam3Processor(images, _tokenizer(source, detector["text_config"]["vocab_size"]))


def _tokenizer(source: str, vocabulary: int) -> CLIPTokenizer:
    try:
        tokenizer = build_tokenizer(source)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConversionError(f"No tokenizer could be made from {source}: {reason}") from error
    # A file of merges that was cut short is valid, but its start and end tokens are other words of the model.
    if len(tokenizer) < vocabulary:
        raise ConversionError(f"The tokenizer of {source} knows {len(tokenizer)} tokens, the model {vocabulary}.")
    return tokenizer


def _image_processor(vit: dict[str, Any]) -> Sam3ImageProcessor:
    side, patch = vit["image_size"], vit["patch_size"]
    mask_side = _MASK_CELLS_PER_PATCH * (side // patch)
    return Sam3ImageProcessor(size={"height": side, "width": side}, mask_size={"height": mask_side, "width": mask_side})


def _beside(checkpoint: Path) -> str:
    found = [path for path in map(checkpoint.with_name, MERGES_FILES) if path.is_file()]
    if not found:
        raise ConversionError(
            f"A tokenizer is needed, and {checkpoint.with_name(MERGES_FILES[0])} does not exist. Pass --tokenizer "
            "(in Python: tokenizer=) with the path of that file, a folder or Hub id that holds a CLIP tokenizer, "
            "or 'none' to write no tokenizer."
        )
    return str(found[0])
