"""The rename table of SAM 3.1 (object multiplex): the detector of SAM 3, two more necks, a tracker of two paths.

Names that SAM 3 has too mean the path of clicks; what only follows objects through a video is called `propagation`.
The original has it the other way round: its `sam_mask_decoder` and `obj_ptr_proj` follow objects.
"""

from sam3_hf.conversion.keys import DETECTOR, MEMORY_ENCODER, NECK, TRACKER_MASKS, TRACKER_PROMPTS
from sam3_hf.conversion.rows import Row, under

_CLICKS = [
    Row("interactivity_no_mem_embed", "no_memory_embedding"),
    Row("interactive_mask_downsample.*", "mask_downsample.*"),
    Row("interactive_obj_ptr_proj.layers.{0,1,2}.*", "object_pointer_proj.{proj_in,layers.0,proj_out}.*"),
    Row("no_obj_ptr_linear.*", "no_object_pointer_proj.*"),
    *under("interactive_", "", TRACKER_PROMPTS),
    *under("interactive_sam_mask_decoder.", "mask_decoder.", TRACKER_MASKS),
]

_MEMORY_ATTENTION = [
    Row("layers.N.self_attn_{q,k,v,out}_proj.*", "layers.N.self_attn.{q,k,v,o}_proj.*"),
    Row("layers.N.cross_attn_{q,k,v,out}_proj.*", "layers.N.cross_attn_image.{q,k,v,o}_proj.*"),
    Row("layers.N.image_cross_attn_{q,k}_proj.*", "layers.N.cross_attn_image.image_{q,k}_proj.*"),
    Row("layers.N.linear{1,2}.*", "layers.N.linear{1,2}.*"),
    Row("layers.N.norm{1,2,3}.*", "layers.N.layer_norm{1,2,3}.*"),
    Row("norm.*", "layer_norm.*"),
]

_PROPAGATION = [
    Row("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    Row("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    Row("output_{valid,invalid}_embed", "output_{valid,invalid}_embedding"),
    Row(
        "image_pe_layer.positional_encoding_gaussian_matrix",
        "propagation_image_embedding.positional_embedding",
    ),
    Row("obj_ptr_proj.layers.{0,1,2}.*", "propagation_object_pointer_proj.{proj_in,layers.0,proj_out}.*"),
    Row("obj_ptr_tpos_proj.*", "temporal_positional_encoding_projection_layer.*"),
    *under("sam_mask_decoder.", "propagation_mask_decoder.", TRACKER_MASKS),
    *under("transformer.encoder.", "memory_attention.", _MEMORY_ATTENTION),
    *under("maskmem_backbone.", "memory_encoder.", MEMORY_ENCODER),
]

MULTIPLEX_TABLE = [
    *under("detector.", "detector_model.", DETECTOR),
    *under("detector.backbone.vision_backbone.interactive_convs.", "interactive_neck.fpn_layers.", NECK),
    *under("detector.backbone.vision_backbone.propagation_convs.", "propagation_neck.fpn_layers.", NECK),
    *under("tracker.model.", "tracker_model.", [*_CLICKS, *_PROPAGATION]),
]
