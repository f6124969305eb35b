import pytest
import torch
from tests.support import golden

from sam3_hf.detector.detr_decoder import DecodedQueries, DetrDecoder, Memory
from sam3_hf.ops.tokens import PaddedTokens


@pytest.fixture
def decoder() -> DetrDecoder:
    return golden.tiny_model().detr_decoder


def decode(decoder: DetrDecoder, sets: int = 1) -> DecodedQueries:
    generator = torch.Generator().manual_seed(1)
    width = decoder.config.hidden_size
    values, positions, prompt = (torch.randn(2, n, width, generator=generator) for n in (16, 16, 5))
    valid = torch.arange(5) < torch.tensor([[5], [3]])
    return decoder(Memory(values, positions, (4, 4)), PaddedTokens(prompt, valid), sets)


def test_the_first_set_does_not_see_the_second(decoder: DetrDecoder) -> None:
    queries = decoder.config.num_queries
    alone, together = decode(decoder), decode(decoder, sets=2)
    assert together.boxes_cxcywh.shape[2] == 2 * queries
    for name in ("hidden_states", "boxes_cxcywh", "reference_boxes_cxcywh"):
        torch.testing.assert_close(getattr(together, name)[:, :, :queries], getattr(alone, name), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.presence_logits, alone.presence_logits, rtol=1e-4, atol=1e-5)


def test_queries_of_the_second_set_do_not_see_each_other(decoder: DetrDecoder) -> None:
    """What one of them says depends on its own place alone, so without self-attention it is what all of them say."""
    queries = decoder.config.num_queries
    together = decode(decoder, sets=2)
    for layer in decoder.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.self_attn.o_proj.bias)
    blind = decode(decoder)
    torch.testing.assert_close(together.hidden_states[:, :, queries:], blind.hidden_states, rtol=1e-4, atol=1e-5)


def test_a_box_teaches_the_step_before_and_no_earlier_one(decoder: DetrDecoder) -> None:
    seen: dict[int, torch.Tensor] = {}

    def remember(index: int):
        def hook(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
            # Cut from the layers before, so that only boxes lead back.
            seen[index] = output.detach().requires_grad_()
            return seen[index]

        return hook

    for index, layer in enumerate(decoder.layers):
        layer.register_forward_hook(remember(index))
    boxes = decode(decoder).boxes_cxcywh
    for index, of_layer in enumerate(boxes):
        taught = torch.autograd.grad(of_layer.square().sum(), list(seen.values()), retain_graph=True, allow_unused=True)
        found = [gradient is not None and bool(gradient.any()) for gradient in taught]
        assert found == [layer in (index - 1, index) for layer in range(len(boxes))]
