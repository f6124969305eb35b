"""Registration: transformers' Auto classes give our classes for SAM 3.

`register_auto_classes` runs on import of the package; `unregister_auto_classes` gives transformers its own back. The
classes themselves (`transformers.Sam3Model`, ...) are never touched.
"""

from typing import Any

import transformers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskGeneration,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
    AutoTokenizer,
    CLIPTokenizer,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING, AutoImageProcessor
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, PROCESSOR_MAPPING_NAMES  # pyright: ignore
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING
from transformers.pipelines import PIPELINE_REGISTRY

from sam3_hf.configuration_sam3 import Sam3Config, Sam3VisionConfig, Sam3ViTConfig
from sam3_hf.configuration_sam3_tracker import Sam3TrackerConfig
from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.pipelines.promptable_segmentation import PromptableSegmentationPipeline
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor
from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.processing_sam3_video import Sam3VideoProcessor
from sam3_hf.vision.backbone import Sam3ViTModel
from sam3_hf.vision.encoder import Sam3VisionModel

PIPELINE = "promptable-segmentation"
_MODELS: dict[Any, Any] = {
    Sam3Config: Sam3Model,
    Sam3TrackerConfig: Sam3TrackerModel,
    Sam3TrackerVideoConfig: Sam3TrackerVideoModel,
    Sam3VisionConfig: Sam3VisionModel,
    Sam3ViTConfig: Sam3ViTModel,
}
_DETECTION_MAPPING: Any = AutoModelForZeroShotObjectDetection._model_mapping
_MASK_GENERATION_MAPPING: Any = AutoModelForMaskGeneration._model_mapping
_MAPPINGS = (
    CONFIG_MAPPING,
    MODEL_MAPPING,
    _DETECTION_MAPPING,
    _MASK_GENERATION_MAPPING,
    PROCESSOR_MAPPING,
    IMAGE_PROCESSOR_MAPPING,
    TOKENIZER_MAPPING,
)
# transformers' own processors of these names are found before registered ones, so they step aside.
_PROCESSOR_NAMES = {
    name: PROCESSOR_MAPPING_NAMES[name]
    for name in ("sam3", "sam3_tracker", "sam3_tracker_video", "sam3_video")
    if name in PROCESSOR_MAPPING_NAMES
}


_OF_RELEASED: tuple[tuple[Any, Any], ...] = (
    (MODEL_MAPPING, Sam3Model),
    (_DETECTION_MAPPING, Sam3Model),
    (_MASK_GENERATION_MAPPING, Sam3TrackerModel),
    (PROCESSOR_MAPPING, Sam3VideoProcessor),
)


def register_auto_classes() -> None:
    """Make `AutoConfig`, `AutoModel`, `AutoProcessor`, `AutoImageProcessor` and `AutoTokenizer` know our classes.

    A released checkpoint (configuration `sam3_video`) gives the image model through `AutoModel`, and its interactive
    half through `AutoModelForMaskGeneration`.
    """
    AutoConfig.register("sam3", Sam3Config, exist_ok=True)
    AutoConfig.register("sam3_tracker", Sam3TrackerConfig, exist_ok=True)
    AutoConfig.register("sam3_tracker_video", Sam3TrackerVideoConfig, exist_ok=True)
    for config, model in _MODELS.items():
        AutoModel.register(config, model, exist_ok=True)
    AutoModelForZeroShotObjectDetection.register(Sam3Config, Sam3Model, exist_ok=True)
    backends = {"torchvision": Sam3ImageProcessor, "pil": Sam3ImageProcessor}
    for config in (Sam3Config, Sam3TrackerConfig, Sam3TrackerVideoConfig):
        AutoImageProcessor.register(config, image_processor_classes=backends, exist_ok=True)
    AutoProcessor.register(Sam3Config, Sam3Processor, exist_ok=True)
    AutoProcessor.register(Sam3TrackerConfig, Sam3TrackerProcessor, exist_ok=True)
    AutoProcessor.register(Sam3TrackerVideoConfig, Sam3TrackerVideoProcessor, exist_ok=True)
    AutoModelForMaskGeneration.register(Sam3TrackerConfig, Sam3TrackerModel, exist_ok=True)
    AutoTokenizer.register(Sam3Config, CLIPTokenizer, exist_ok=True)
    # `AutoModel.register` insists on a configuration of the same name, transformers 5.13 to 5.18 ignore without a word
    # what is registered for a configuration of their own, and a processor's name is first looked up among transformers'
    # own; the tables are written directly.
    for mapping, ours in _OF_RELEASED:
        mapping._extra_content[transformers.Sam3VideoConfig] = ours
    for name in _PROCESSOR_NAMES:
        PROCESSOR_MAPPING_NAMES.pop(name, None)
    if PIPELINE not in PIPELINE_REGISTRY.supported_tasks:
        PIPELINE_REGISTRY.register_pipeline(
            PIPELINE, PromptableSegmentationPipeline, pt_model=AutoModel, type="multimodal"
        )


def unregister_auto_classes() -> None:
    """Undo `register_auto_classes`: the Auto classes give transformers' own classes again."""
    for mapping in _MAPPINGS:
        for key in ("sam3", "sam3_tracker", "sam3_tracker_video", *_MODELS, transformers.Sam3VideoConfig):
            mapping._extra_content.pop(key, None)
    PROCESSOR_MAPPING_NAMES.update(_PROCESSOR_NAMES)
    PIPELINE_REGISTRY.supported_tasks.pop(PIPELINE, None)
