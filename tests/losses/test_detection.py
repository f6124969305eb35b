import pytest
import torch
from tests.support import loss_toy

EXACT = {"rtol": 1e-5, "atol": 1e-7}


@pytest.mark.parametrize("case", loss_toy.EXPECTED["cases"])
def test_every_term_total_and_gradient_is_the_originals(case: str) -> None:
    expected = loss_toy.EXPECTED["cases"][case]
    toy = loss_toy.toy()
    loss = toy.loss(loss_toy.config_of(case), loss_toy.targets(expected["settings"]["masks_and_semantic"]))

    core = expected["losses"]["core_loss"]
    torch.testing.assert_close(loss.total.item(), core, rtol=1e-5, atol=0)
    for name, term in loss.terms.items():
        if name in expected["losses"] or term:  # without masks the original leaves their terms out
            torch.testing.assert_close(term.item(), expected["losses"][name], **EXACT, msg=name)
    left_out = {name for name, value in expected["losses"].items() if name not in loss.terms and value}
    assert left_out == {"core_loss"}

    loss.total.backward()
    for name, size in expected["grad_abs_sum"].items():
        torch.testing.assert_close(toy.outputs[name].grad.abs().sum().item(), size or 0.0, rtol=1e-5, atol=0, msg=name)
