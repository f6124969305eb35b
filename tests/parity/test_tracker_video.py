"""The parts that the video tracker adds, against their counterparts in transformers with the same random weights."""

from functools import cache
from types import SimpleNamespace

import pytest
import torch
import transformers
from tests.support import video_golden as recorded
from tests.support.tolerances import PART, SAME_MASKS
from transformers.models.sam3_tracker_video import modeling_sam3_tracker_video as theirs

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig, video_tracker
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.ops.positions import grid_positions
from sam3_hf.tracker.memory_attention import MemoryTokens
from sam3_hf.tracker.memory_tokens import distance_positions

# The width that transformers' memory attention is fixed to.
MEMORY = 64


@cache
def pair() -> SimpleNamespace:
    """Both models with one set of weights, every one random."""
    values = video_tracker(recorded.config_values())
    values["memory_encoder_output_channels"] = MEMORY
    for part in ("prompt_encoder_config", "mask_decoder_config"):
        values[part] = values[part] | {"hidden_size": MEMORY}
    values["vision_config"] = values["vision_config"] | {"fpn_hidden_size": MEMORY}
    for name in ("memory_attention_hidden_size", "memory_encoder_hidden_size", "mask_downsampler_embed_dim"):
        values[name] = MEMORY
    values["memory_fuser_embed_dim"] = MEMORY
    their_model = theirs.Sam3TrackerVideoModel(transformers.Sam3TrackerVideoConfig(**values)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in their_model.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
    our_model = Sam3TrackerVideoModel(Sam3TrackerVideoConfig(**values)).eval()
    our_model.load_state_dict(their_model.state_dict())
    return SimpleNamespace(ours=our_model, theirs=their_model)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def test_memory_encoder() -> None:
    image, masks = torch.randn(2, MEMORY, 12, 12), torch.randn(2, 1, 192, 192) * 5
    expected, positions = pair().theirs.memory_encoder(image, masks)
    torch.testing.assert_close(pair().ours.memory_encoder(image, masks), expected, **SAME_MASKS)
    torch.testing.assert_close(grid_positions((12, 12), MEMORY, image).expand_as(positions), positions, **PART)


@pytest.mark.parametrize("pointers", [0, 4])
def test_memory_attention(pointers: int) -> None:
    image, positions = torch.randn(2, 144, MEMORY), torch.randn(1, 144, MEMORY)
    memory, places = torch.randn(2, 288 + pointers, MEMORY), torch.randn(2, 288 + pointers, MEMORY)
    tokens = MemoryTokens(memory[:, :288], places[:, :288], memory[:, 288:], places[:, 288:], None)
    # Theirs takes one object at a time.
    for row in range(2):
        expected = pair().theirs.memory_attention(
            image[row : row + 1].transpose(0, 1),
            memory[row : row + 1].transpose(0, 1),
            positions.transpose(0, 1),
            places[row : row + 1].transpose(0, 1),
            pointers,
        )
        one = MemoryTokens(*(None if part is None else part[row : row + 1] for part in tokens))
        found = pair().ours.memory_attention(image[row : row + 1], positions, one, 12)
        torch.testing.assert_close(found, expected.reshape(1, 144, MEMORY), **SAME_MASKS)


def test_distances_of_pointers() -> None:
    distances = torch.tensor([0.0, 1.0, 3.0, 15.0]) / 15
    torch.testing.assert_close(distance_positions(distances, 32), theirs.get_1d_sine_pe(distances, 32), **PART)
