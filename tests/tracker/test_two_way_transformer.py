import torch
from tests.support.tolerances import SAME_MODEL

from sam3_hf.configuration_sam3_tracker import Sam3TrackerMaskDecoderConfig
from sam3_hf.tracker.two_way_transformer import FirstTwoWayLayer, TwoWayLayer, TwoWayTransformer


def transformer(layers: int = 2) -> TwoWayTransformer:
    config = Sam3TrackerMaskDecoderConfig(hidden_size=16, num_attention_heads=2, mlp_dim=24, num_hidden_layers=layers)
    return TwoWayTransformer(config).eval()


def test_the_first_layer_differs_from_the_others() -> None:
    kinds = [type(layer) for layer in transformer(3).layers]
    assert kinds == [FirstTwoWayLayer, TwoWayLayer, TwoWayLayer]


def test_padding_changes_neither_tokens_nor_image() -> None:
    model, image, positions = transformer(), torch.randn(1, 9, 16), torch.randn(1, 9, 16)
    tokens, valid = torch.randn(2, 5, 16), torch.tensor([[True] * 5, [True, True, True, False, False]])
    padded = model(tokens, valid, image, positions)
    alone = model(tokens[1:, :3], valid[1:, :3], image, positions)
    torch.testing.assert_close(padded.tokens[1:, :3], alone.tokens, **SAME_MODEL)
    torch.testing.assert_close(padded.image[1:], alone.image, **SAME_MODEL)


def test_an_image_that_objects_share_equals_copies_of_it() -> None:
    model, images, positions = transformer(), torch.randn(2, 9, 16), torch.randn(1, 9, 16)
    tokens, valid = torch.randn(6, 5, 16), torch.ones(6, 5, dtype=torch.bool)
    shared = model(tokens, valid, images, positions)
    copies = model(tokens, valid, images.repeat_interleave(3, 0), positions)
    torch.testing.assert_close(shared.tokens, copies.tokens, **SAME_MODEL)
    torch.testing.assert_close(shared.image, copies.image, **SAME_MODEL)
