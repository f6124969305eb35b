"""SAM 3 (Segment Anything with Concepts) as a Hugging Face Transformers-style package."""

from sam3_hf.auto import register_auto_classes, unregister_auto_classes
from sam3_hf.configuration_sam3 import (
    Sam3Config,
    Sam3DETRDecoderConfig,
    Sam3DETREncoderConfig,
    Sam3GeometryEncoderConfig,
    Sam3MaskDecoderConfig,
    Sam3VisionConfig,
    Sam3ViTConfig,
)
from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.configuration_sam3_tracker import (
    Sam3TrackerConfig,
    Sam3TrackerMaskDecoderConfig,
    Sam3TrackerPromptEncoderConfig,
)
from sam3_hf.configuration_sam3_tracker_video import (
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoMaskDecoderConfig,
    Sam3TrackerVideoPromptEncoderConfig,
)
from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.embedded_models import embedded
from sam3_hf.feature_cache import FeatureCache
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_base import Sam3PreTrainedModel
from sam3_hf.modeling_outputs import (
    Sam3ImageSegmentationOutput,
    Sam3TextEncoderOutput,
    Sam3TrackerImageSegmentationOutput,
    Sam3TrackerVideoSegmentationOutput,
    Sam3VisionEncoderOutput,
)
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel, Sam3TrackerPreTrainedModel
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel, Sam3TrackerVideoPreTrainedModel
from sam3_hf.modeling_sam3_video import Sam3VideoModel, Sam3VideoPreTrainedModel
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor
from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.processing_sam3_video import Sam3VideoProcessor
from sam3_hf.tokenization_sam3 import build_tokenizer
from sam3_hf.video.concept_session import Sam3VideoInferenceSession
from sam3_hf.video.results import Sam3VideoSegmentationOutput
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession
from sam3_hf.vision.backbone import Sam3ViTModel
from sam3_hf.vision.encoder import Sam3VisionModel

__version__ = "0.1.0"

__all__ = [
    "FeatureCache",
    "Sam3Config",
    "Sam3DETRDecoderConfig",
    "Sam3DETREncoderConfig",
    "Sam3GeometryEncoderConfig",
    "Sam3ImageProcessor",
    "Sam3ImageSegmentationOutput",
    "Sam3LossConfig",
    "Sam3MaskDecoderConfig",
    "Sam3Model",
    "Sam3PreTrainedModel",
    "Sam3Processor",
    "Sam3TextEncoderOutput",
    "Sam3TrackerConfig",
    "Sam3TrackerImageSegmentationOutput",
    "Sam3TrackerMaskDecoderConfig",
    "Sam3TrackerModel",
    "Sam3TrackerPreTrainedModel",
    "Sam3TrackerProcessor",
    "Sam3TrackerPromptEncoderConfig",
    "Sam3TrackerVideoConfig",
    "Sam3TrackerVideoInferenceSession",
    "Sam3TrackerVideoMaskDecoderConfig",
    "Sam3TrackerVideoModel",
    "Sam3TrackerVideoPreTrainedModel",
    "Sam3TrackerVideoProcessor",
    "Sam3TrackerVideoPromptEncoderConfig",
    "Sam3TrackerVideoSegmentationOutput",
    "Sam3ViTConfig",
    "Sam3ViTModel",
    "Sam3VideoConfig",
    "Sam3VideoInferenceSession",
    "Sam3VideoModel",
    "Sam3VideoPreTrainedModel",
    "Sam3VideoProcessor",
    "Sam3VideoSegmentationOutput",
    "Sam3VisionConfig",
    "Sam3VisionEncoderOutput",
    "Sam3VisionModel",
    "build_tokenizer",
    "embedded",
    "register_auto_classes",
    "unregister_auto_classes",
]

register_auto_classes()
