"""The rename table of SAM 3: Meta's original names on the left, ours on the right.

`sam3_hf.conversion.rows` explains the notation. Both directions are read from these rows.
"""

from sam3_hf.conversion.rows import Row, under
from sam3_hf.conversion.transforms import DROP, DROP_CLASS_TOKEN, DUPLICATE, SPLIT, STACK, TRANSPOSE

NECK = [
    Row("0.dconv_2x2_{0,1}.*", "0.scale_layers.{0,2}.*"),
    Row("1.dconv_2x2.*", "1.scale_layers.0.*"),
    Row("N.conv_{1x1,3x3}.*", "N.proj{1,2}.*"),
]

_VISION = [
    Row("trunk.pos_embed", "backbone.embeddings.position_embeddings", DROP_CLASS_TOKEN),
    Row("trunk.patch_embed.proj.weight", "backbone.embeddings.patch_embeddings.projection.weight"),
    Row("trunk.ln_pre.*", "backbone.layer_norm.*"),
    Row("trunk.blocks.N.norm{1,2}.*", "backbone.layers.N.layer_norm{1,2}.*"),
    Row("trunk.blocks.N.attn.qkv.*", "backbone.layers.N.attention.[q,k,v]_proj.*", SPLIT),
    Row("trunk.blocks.N.attn.proj.*", "backbone.layers.N.attention.o_proj.*"),
    Row("trunk.blocks.N.attn.freqs_cis", "", DROP),  # computed again from the configuration
    Row("trunk.blocks.N.mlp.fc{1,2}.*", "backbone.layers.N.mlp.fc{1,2}.*"),
    *under("convs.", "neck.fpn_layers.", NECK),
]

_TEXT = [
    Row("encoder.token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
    Row("encoder.positional_embedding", "text_model.embeddings.position_embedding.weight"),
    *under(
        "encoder.transformer.resblocks.",
        "text_model.encoder.layers.",
        [
            Row("N.attn.in_proj_*", "N.self_attn.[q,k,v]_proj.*", SPLIT),
            Row("N.attn.out_proj.*", "N.self_attn.out_proj.*"),
            Row("N.ln_{1,2}.*", "N.layer_norm{1,2}.*"),
            Row("N.mlp.{c_fc,c_proj}.*", "N.mlp.{fc1,fc2}.*"),
        ],
    ),
    Row("encoder.ln_final.*", "text_model.final_layer_norm.*"),
    Row("encoder.text_projection", "text_projection.weight", TRANSPOSE),
]

_GEOMETRY = [
    Row("{label_embed,cls_embed}.weight", "{label_embed,cls_embed}.weight"),
    Row("boxes_{direct,pool,pos_enc}_project.*", "boxes_{direct,pool,pos_enc}_project.*"),
    Row("points_{direct,pool,pos_enc}_project.*", "", DROP),  # only point prompts of the detector would read them
    Row("final_proj.*", "final_proj.*"),
    Row("{norm,img_pre_norm,encode_norm}.*", "{prompt_layer_norm,vision_layer_norm,output_layer_norm}.*"),
    Row("encode.N.{self_attn,cross_attn_image}.in_proj_*", "layers.N.{self_attn,cross_attn}.[q,k,v]_proj.*", SPLIT),
    Row("encode.N.{self_attn,cross_attn_image}.out_proj.*", "layers.N.{self_attn,cross_attn}.o_proj.*"),
    Row("encode.N.linear{1,2}.*", "layers.N.mlp.fc{1,2}.*"),
    Row("encode.N.norm{1,2,3}.*", "layers.N.layer_norm{1,2,3}.*"),
]

_DETR_ENCODER = [
    Row("layers.N.{self_attn,cross_attn_image}.in_proj_*", "layers.N.{self_attn,cross_attn}.[q,k,v]_proj.*", SPLIT),
    Row("layers.N.{self_attn,cross_attn_image}.out_proj.*", "layers.N.{self_attn,cross_attn}.o_proj.*"),
    Row("layers.N.linear{1,2}.*", "layers.N.mlp.fc{1,2}.*"),
    Row("layers.N.norm{1,2,3}.*", "layers.N.layer_norm{1,2,3}.*"),
]

_DETR_DECODER = [
    Row("layers.N.self_attn.in_proj_*", "layers.N.self_attn.[q,k,v]_proj.*", SPLIT),
    Row("layers.N.ca_text.in_proj_*", "layers.N.text_cross_attn.[q,k,v]_proj.*", SPLIT),
    Row("layers.N.cross_attn.in_proj_*", "layers.N.vision_cross_attn.[q,k,v]_proj.*", SPLIT),
    Row("layers.N.self_attn.out_proj.*", "layers.N.self_attn.o_proj.*"),
    Row("layers.N.ca_text.out_proj.*", "layers.N.text_cross_attn.o_proj.*"),
    Row("layers.N.cross_attn.out_proj.*", "layers.N.vision_cross_attn.o_proj.*"),
    # norm1 stands after the attention to the image, norm2 after the self-attention, although that one runs first.
    Row("layers.N.norm1.*", "layers.N.vision_cross_attn_layer_norm.*"),
    Row("layers.N.norm2.*", "layers.N.self_attn_layer_norm.*"),
    Row("layers.N.catext_norm.*", "layers.N.text_cross_attn_layer_norm.*"),
    Row("layers.N.norm3.*", "layers.N.mlp_layer_norm.*"),
    Row("layers.N.linear{1,2}.*", "layers.N.mlp.fc{1,2}.*"),
    Row("norm.*", "output_layer_norm.*"),
    Row("query_embed.weight", "query_embed.weight"),
    Row("reference_points.weight", "reference_points.weight"),
    Row("presence_token.weight", "presence_token.weight"),
    Row("presence_token_head.layers.{0,1,2}.*", "presence_head.layer{1,2,3}.*"),
    Row("presence_token_out_norm.*", "presence_layer_norm.*"),
    Row("bbox_embed.layers.{0,1,2}.*", "box_head.layer{1,2,3}.*"),
    Row("ref_point_head.layers.{0,1}.*", "ref_point_head.layer{1,2}.*"),
    Row("boxRPB_embed_x.layers.{0,1}.*", "box_rpb_embed_x.layer{1,2}.*"),
    Row("boxRPB_embed_y.layers.{0,1}.*", "box_rpb_embed_y.layer{1,2}.*"),
]

_SCORING = [
    Row("prompt_mlp.layers.{0,1}.*", "text_mlp.layer{1,2}.*"),
    Row("prompt_mlp.out_norm.*", "text_mlp_out_norm.*"),
    Row("{prompt,hs}_proj.*", "{text,query}_proj.*"),
]

_MASK_DECODER = [
    Row("pixel_decoder.conv_layers.N.*", "pixel_decoder.conv_layers.N.*"),
    Row("pixel_decoder.norms.N.*", "pixel_decoder.norms.N.*"),
    Row("mask_predictor.mask_embed.layers.N.*", "mask_embedder.layers.N.*"),
    Row("{instance,semantic}_seg_head.*", "{instance,semantic}_projection.*"),
    Row("cross_attend_prompt.in_proj_*", "prompt_cross_attn.[q,k,v]_proj.*", SPLIT),
    Row("cross_attend_prompt.out_proj.*", "prompt_cross_attn.o_proj.*"),
    Row("cross_attn_norm.*", "prompt_cross_attn_norm.*"),
]

TRACKER_PROMPTS = [
    Row(
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "[prompt_encoder.shared_embedding,shared_image_embedding].positional_embedding",
        DUPLICATE,
    ),
    *under(
        "sam_prompt_encoder.",
        "prompt_encoder.",
        [
            Row("point_embeddings.[0,1,2,3].weight", "point_embed.weight", STACK),
            Row("{not_a_point,no_mask}_embed.weight", "{not_a_point,no_mask}_embed.weight"),
            Row("mask_downscaling.{0,3,6}.*", "mask_embed.conv{1,2,3}.*"),
            Row("mask_downscaling.{1,4}.*", "mask_embed.layer_norm{1,2}.*"),
        ],
    ),
]

_TWO_WAY_TRANSFORMER = [
    Row("layers.N.self_attn.{q,k,v,out}_proj.*", "layers.N.self_attn.{q,k,v,o}_proj.*"),
    *under(
        "layers.N.cross_attn_",
        "layers.N.cross_attn_",
        [
            Row("token_to_image.{q,k,v,out}_proj.*", "token_to_image.{q,k,v,o}_proj.*"),
            Row("image_to_token.{q,k,v,out}_proj.*", "image_to_token.{q,k,v,o}_proj.*"),
        ],
    ),
    Row("layers.N.norm{1,2,3,4}.*", "layers.N.layer_norm{1,2,3,4}.*"),
    Row("layers.N.mlp.lin{1,2}.*", "layers.N.mlp.{proj_in,proj_out}.*"),
    Row("final_attn_token_to_image.{q,k,v,out}_proj.*", "final_attn_token_to_image.{q,k,v,o}_proj.*"),
    Row("norm_final_attn.*", "layer_norm_final_attn.*"),
]

TRACKER_MASKS = [
    Row("{iou_token,mask_tokens,obj_score_token}.weight", "{iou_token,mask_tokens,obj_score_token}.weight"),
    Row("conv_{s0,s1}.*", "conv_{s0,s1}.*"),
    Row("output_upscaling.{0,1,3}.*", "{upscale_conv1,upscale_layer_norm,upscale_conv2}.*"),
    Row("output_hypernetworks_mlps.N.layers.{0,1,2}.*", "output_hypernetworks_mlps.N.{proj_in,layers.0,proj_out}.*"),
    Row("iou_prediction_head.layers.{0,1,2}.*", "iou_prediction_head.{proj_in,layers.0,proj_out}.*"),
    Row("pred_obj_score_head.layers.{0,1,2}.*", "pred_obj_score_head.{proj_in,layers.0,proj_out}.*"),
    *under("transformer.", "transformer.", _TWO_WAY_TRANSFORMER),
]

_MEMORY_ATTENTION = [
    Row("layers.N.self_attn.{q,k,v,out}_proj.*", "layers.N.self_attn.{q,k,v,o}_proj.*"),
    Row("layers.N.cross_attn_image.{q,k,v,out}_proj.*", "layers.N.cross_attn_image.{q,k,v,o}_proj.*"),
    Row("layers.N.linear{1,2}.*", "layers.N.linear{1,2}.*"),
    Row("layers.N.norm{1,2,3}.*", "layers.N.layer_norm{1,2,3}.*"),
    Row("norm.*", "layer_norm.*"),
]

MEMORY_ENCODER = [
    Row("pix_feat_proj.*", "feature_projection.*"),
    Row("mask_downsampler.encoder.{0,3,6,9}.*", "mask_downsampler.layers.{0,1,2,3}.conv.*"),
    Row("mask_downsampler.encoder.{1,4,7,10}.*", "mask_downsampler.layers.{0,1,2,3}.layer_norm.*"),
    Row("mask_downsampler.encoder.12.*", "mask_downsampler.final_conv.*"),
    Row("fuser.layers.N.{dwconv,norm}.*", "memory_fuser.layers.N.{depthwise_conv,layer_norm}.*"),
    Row("fuser.layers.N.pwconv{1,2}.*", "memory_fuser.layers.N.pointwise_conv{1,2}.*"),
    Row("fuser.layers.N.gamma", "memory_fuser.layers.N.scale"),
]

_TRACKER = [
    Row("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    Row("no_mem_{embed,pos_enc}", "no_memory_{embedding,positional_encoding}"),
    Row("no_obj_{ptr,embed_spatial}", "{no_object_pointer,occlusion_spatial_embedding_parameter}"),
    Row("mask_downsample.*", "mask_downsample.*"),
    Row("obj_ptr_proj.layers.{0,1,2}.*", "object_pointer_proj.{proj_in,layers.0,proj_out}.*"),
    Row("obj_ptr_tpos_proj.*", "temporal_positional_encoding_projection_layer.*"),
    *TRACKER_PROMPTS,
    *under("sam_mask_decoder.", "mask_decoder.", TRACKER_MASKS),
    *under("transformer.encoder.", "memory_attention.", _MEMORY_ATTENTION),
    *under("maskmem_backbone.", "memory_encoder.", [*MEMORY_ENCODER, Row("out_proj.*", "projection.*")]),
]

DETECTOR = [
    *under("backbone.vision_backbone.", "vision_encoder.", _VISION),
    *under("backbone.language_backbone.", "text_encoder.", _TEXT),
    Row("backbone.language_backbone.resizer.*", "text_projection.*"),
    *under("geometry_encoder.", "geometry_encoder.", _GEOMETRY),
    *under("transformer.encoder.", "detr_encoder.", _DETR_ENCODER),
    *under("transformer.decoder.", "detr_decoder.", _DETR_DECODER),
    *under("dot_prod_scoring.", "dot_product_scoring.", _SCORING),
    *under("segmentation_head.", "mask_decoder.", _MASK_DECODER),
]

SAM3_TABLE = [
    *under("detector.", "detector_model.", DETECTOR),
    *under("detector.backbone.vision_backbone.sam2_convs.", "tracker_neck.fpn_layers.", NECK),
    *under("tracker.", "tracker_model.", _TRACKER),
]
