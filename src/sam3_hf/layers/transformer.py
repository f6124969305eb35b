"""The parts of a pre-norm layer that looks at its own tokens and then at others; its users say at what."""

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from sam3_hf.configuration_sam3 import Sam3DETREncoderConfig, Sam3GeometryEncoderConfig
from sam3_hf.layers.attention import Attention
from sam3_hf.layers.mlp import FeedForward
from sam3_hf.layers.norm import layer_norm


class PreNormLayer(GradientCheckpointingLayer):
    """Self-attention, cross-attention and feed-forward, each with its norm; a subclass writes the forward."""

    def __init__(self, config: Sam3GeometryEncoderConfig | Sam3DETREncoderConfig) -> None:
        super().__init__()
        self.layer_norm1 = layer_norm(config.hidden_size)
        self.self_attn = Attention(config, config.dropout)
        self.layer_norm2 = layer_norm(config.hidden_size)
        self.cross_attn = Attention(config, config.dropout)
        self.layer_norm3 = layer_norm(config.hidden_size)
        self.mlp = FeedForward(config, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
