"""Registration: transformers' Auto classes give our classes for SAM 3.

`register_auto_classes` runs on import of the package; `unregister_auto_classes` gives transformers its own back. The
classes themselves (`transformers.Sam3Model`, ...) are never touched.
"""

from typing import Any

import transformers
from transformers import AutoConfig, AutoModel, AutoProcessor, AutoTokenizer, CLIPTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING, AutoImageProcessor
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, PROCESSOR_MAPPING_NAMES  # pyright: ignore
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING

from sam3_hf.configuration_sam3 import Sam3Config, Sam3VisionConfig, Sam3ViTConfig
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.vision.backbone import Sam3ViTModel
from sam3_hf.vision.encoder import Sam3VisionModel

_MODELS: dict[Any, Any] = {Sam3Config: Sam3Model, Sam3VisionConfig: Sam3VisionModel, Sam3ViTConfig: Sam3ViTModel}
_MAPPINGS = (CONFIG_MAPPING, MODEL_MAPPING, PROCESSOR_MAPPING, IMAGE_PROCESSOR_MAPPING, TOKENIZER_MAPPING)


def register_auto_classes() -> None:
    """Make `AutoConfig`, `AutoModel`, `AutoProcessor`, `AutoImageProcessor` and `AutoTokenizer` know our classes.

    A released checkpoint (configuration `sam3_video`) gives the image model through `AutoModel`.
    """
    AutoConfig.register("sam3", Sam3Config, exist_ok=True)
    for config, model in _MODELS.items():
        AutoModel.register(config, model, exist_ok=True)
    backends = {"torchvision": Sam3ImageProcessor, "pil": Sam3ImageProcessor}
    AutoImageProcessor.register(Sam3Config, image_processor_classes=backends, exist_ok=True)
    AutoProcessor.register(Sam3Config, Sam3Processor, exist_ok=True)
    AutoTokenizer.register(Sam3Config, CLIPTokenizer, exist_ok=True)
    # `AutoModel.register` insists on a configuration of the same name, and a processor's name is first looked up among
    # transformers' own; both tables are written directly.
    MODEL_MAPPING.register(transformers.Sam3VideoConfig, Sam3Model, exist_ok=True)  # pyright: ignore
    PROCESSOR_MAPPING_NAMES.pop("sam3", None)


def unregister_auto_classes() -> None:
    """Undo `register_auto_classes`: the Auto classes give transformers' own classes again."""
    for mapping in _MAPPINGS:
        for key in ("sam3", *_MODELS, transformers.Sam3VideoConfig):
            mapping._extra_content.pop(key, None)
    PROCESSOR_MAPPING_NAMES["sam3"] = "Sam3Processor"
