import torch
from tests.support import golden

from sam3_hf.ops.tokens import PaddedTokens


def test_prompts_of_one_image_share_its_first_look_at_itself() -> None:
    model = golden.tiny_model()
    encoder = model.detr_encoder
    torch.manual_seed(0)
    width = encoder.config.hidden_size
    tokens, positions = torch.randn(1, 25, width), torch.randn(1, 25, width)
    prompt = PaddedTokens(torch.randn(3, 4, width), torch.ones(3, 4, dtype=torch.bool))
    seen: list[int] = []
    for layer in encoder.layers:
        layer.self_attn.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    with torch.no_grad():
        shared = encoder(tokens, positions, prompt)
        apart = encoder(tokens.expand(3, -1, -1), positions, prompt)
    layers = len(encoder.layers)
    assert seen == [1] + [3] * (layers - 1) + [3] * layers
    torch.testing.assert_close(shared, apart)


def test_hidden_states_of_shared_tokens_have_a_row_per_prompt() -> None:
    model = golden.tiny_model()
    case = golden.case("text_box_pos_neg")
    texts = torch.tensor([[60, 5, 61, 0], [60, 7, 8, 61]])
    with torch.no_grad():
        outputs = model(pixel_values=case.inputs["pixel_values"][:1], input_ids=texts, output_hidden_states=True)
    assert {state.shape[0] for state in outputs.encoder_hidden_states} == {2}
