from pathlib import Path

import peft
import pytest
import torch
from tests.support.folders import finding_model, tiny_processor
from tests.support.training import squares

from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.training.adapters import PARTS, add_lora, merge
from sam3_hf.training.collator import Sam3Collator
from sam3_hf.training.parameters import parameter_groups

# PEFT asks transformers for something under its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


def adapted(**options: object) -> peft.PeftModel:
    model = add_lora(finding_model(), rank=2, **options)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # initially zero
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize("part", PARTS)
def test_adapters_of_a_part_and_nothing_else_learn(part: str) -> None:
    model = adapted(parts=[part])
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert learning
    assert all(
        "lora_" in name and name.startswith(tuple(f"base_model.model.{p}" for p in PARTS[part])) for name in learning
    )


def test_adapters_learn_as_fast_as_their_part() -> None:
    model = adapted(parts=["vision", "detr_encoder"])
    assert {round(group["lr"], 9) for group in parameter_groups(model)} >= {8e-5, round(2.5e-5 * 0.9, 9)}
    assert sum(len(group["params"]) for group in parameter_groups(model)) == sum(
        parameter.requires_grad for parameter in model.parameters()
    )


def test_a_loss_reaches_them(tmp_path: Path) -> None:
    model = adapted(parts=["vision", "text", "detector"]).train()
    model(**Sam3Collator(tiny_processor(tmp_path))(squares(2))).loss.backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert any("vision_encoder" in name for name in reached)
    assert any("text_encoder" in name for name in reached)
    assert any("mask_decoder" in name for name in reached)
    assert all("lora_" in name for name in reached)


def test_saved_adapters_come_back_and_merge_into_a_plain_model(tmp_path: Path) -> None:
    batch = Sam3Collator(tiny_processor(tmp_path))(squares(1))
    model = adapted().eval()
    model.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        expected = model(**batch).pred_logits
    loaded = peft.PeftModel.from_pretrained(finding_model(), tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).pred_logits, expected, rtol=1e-4, atol=1e-5)
        plain = merge(loaded)
        assert type(plain) is Sam3Model
        torch.testing.assert_close(plain(**batch).pred_logits, expected, rtol=1e-4, atol=1e-4)
    plain.save_pretrained(tmp_path / "merged")
    assert not [name for name in Sam3Model.from_pretrained(tmp_path / "merged").state_dict() if "lora" in name]


def test_a_plain_model_merges_to_itself() -> None:
    model = finding_model()
    assert merge(model) is model


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parts": ["tracker"]}, "got \\['tracker'\\]"),
        ({"layers": ["wrong"]}, "No layer of vision, detector is called wrong"),
    ],
)
def test_what_is_not_there_is_refused(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        add_lora(finding_model(), **options)


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(ImportError, match=r"This needs peft .*pip install 'sam3-hf\[train\]'"):
        add_lora(finding_model())
