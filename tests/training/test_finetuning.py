import json
from pathlib import Path

import pytest
from tests.support.coco import write_dataset, write_split

from sam3_hf.cli.app import run
from sam3_hf.datasets.coco import CocoDataset
from sam3_hf.evaluation.models import evaluate_model
from sam3_hf.loading import load
from sam3_hf.training.finetuning import finetune, last_checkpoint
from sam3_hf.training.measuring import SHOWN
from sam3_hf.training.recipe import Recipe


def recipe(data: Path, model: Path, output: Path, **options: object) -> Recipe:
    return Recipe(data, str(model), output, **{"epochs": 1, "cpu": True, "quiet": True} | options)


def history(output: Path) -> list[dict]:
    state = Path(last_checkpoint(output / "training")) / "trainer_state.json"
    return json.loads(state.read_text())["log_history"]


def test_the_result_is_a_model_folder_that_evaluates_as_the_run_said(
    data: Path, model_folder: Path, tmp_path: Path
) -> None:
    # A model that finds everything at a high rate of learning, so that the numbers are not all alike.
    result = finetune(recipe(data, model_folder, tmp_path / "out", epochs=2, learning_rate=1e-3))
    told = json.loads((tmp_path / "out" / "eval_results.json").read_text())
    best = max(
        (line for line in history(tmp_path / "out") if "eval_loss" in line), key=lambda line: line["eval_segm_cgF1"]
    )
    valid = CocoDataset(data / "valid" / "_annotations.coco.json")
    loaded = load(result.folder)
    again = evaluate_model(loaded.model, loaded.processor, valid)
    names = [f"{kind}_{name}" for kind in ("segm", "bbox") for name in SHOWN]
    assert list(told) == names
    for name in names:
        assert told[name] == result.metrics[name] == pytest.approx(again[name], abs=1e-9)
        assert told[name] == pytest.approx(best[f"eval_{name}"], abs=1e-9)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_adapters_are_kept_and_merged(data: Path, model_folder: Path, tmp_path: Path) -> None:
    finetune(recipe(data, model_folder, tmp_path / "out", lora=("detr_decoder",), lora_rank=2))
    adapter = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert adapter["r"] == 2
    merged, start = (load(folder).model.state_dict() for folder in (tmp_path / "out", model_folder))
    assert merged.keys() == start.keys()
    assert (
        not merged["detr_encoder.layers.0.self_attn.q_proj.weight"]
        .ne(start["detr_encoder.layers.0.self_attn.q_proj.weight"])
        .any()
    )


def test_boxes_alone_are_trained_from_data_without_masks(model_folder: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", 4, 2, masks=False)
    result = finetune(recipe(data, model_folder, tmp_path / "out", log_every=1, checkpointing=True, tensorboard=True))
    assert set(result.metrics) == {f"bbox_{name}" for name in SHOWN}
    assert "loss_bbox" in history(tmp_path / "out")[0]
    assert list((tmp_path / "out" / "training" / "runs").rglob("events.*"))
    kept, start = (load(folder).model.mask_decoder.state_dict() for folder in (tmp_path / "out", model_folder))
    assert all(kept[name].equal(start[name]) for name in start)


def test_data_without_a_validation_split_is_trained_and_not_evaluated(model_folder: Path, tmp_path: Path) -> None:
    write_split(tmp_path / "data" / "train", 2)
    result = finetune(recipe(tmp_path / "data", model_folder, tmp_path / "out"))
    assert result.metrics == {}
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert not (tmp_path / "out" / "eval_results.json").exists()


class TestRefusals:
    def test_a_folder_that_holds_something(self, data: Path, model_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("mine")
        with pytest.raises(ValueError, match="holds something already"):
            finetune(recipe(data, model_folder, tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

    def test_nothing_to_resume(self, data: Path, model_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="holds no run to resume"):
            finetune(recipe(data, model_folder, tmp_path / "out"), resume=True)

    def test_other_options_than_those_of_the_run(self, data: Path, model_folder: Path, tmp_path: Path) -> None:
        started = recipe(data, model_folder, tmp_path / "out")
        started.checkpoints.mkdir(parents=True)
        (started.checkpoints / "recipe.json").write_text(json.dumps(started.to_dict()))
        with pytest.raises(ValueError, match="started with seed=123, not 5; resume it with the same options"):
            finetune(recipe(data, model_folder, tmp_path / "out", seed=5, workers=1), resume=True)
        with pytest.raises(ValueError, match="no finished checkpoint"):
            finetune(started, resume=True)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"preset": "most"}, "presets are head, detector, all"),
            ({"lora": ("tracker",)}, "LoRA goes to vision"),
            ({"epochs": 0}, "epochs must be at least 1"),
            ({"visual_probability": 2}, "probability lies in 0..1; got 2"),
            ({"ema": 1.0}, "decay of the average lies between 0 and 1"),
            ({"train_file": "none.json"}, "holds no none.json"),
        ],
    )
    def test_what_cannot_work(self, data: Path, model_folder: Path, tmp_path: Path, options: dict, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            finetune(recipe(data, model_folder, tmp_path / "out", **options))
        assert not (tmp_path / "out").exists()

    def test_masks_where_there_are_none(self, model_folder: Path, tmp_path: Path) -> None:
        data = write_dataset(tmp_path / "data", 1, 1, masks=False)
        with pytest.raises(ValueError, match="holds no masks; train boxes only"):
            finetune(recipe(data, model_folder, tmp_path / "out", masks=True))


class TestCommand:
    def test_it_trains(self, data: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        arguments = ["finetune", str(data), "--model", str(model_folder), "--output", str(tmp_path / "out")]
        assert run([*arguments, "--epochs", "1", "--preset", "head", "--cpu", "--mask-size", "48"]) == 0
        shown = capsys.readouterr()
        assert "segm_cgF1" in shown.out
        assert "The model is in" in shown.out
        assert not shown.err
        assert run(arguments) == 2
        assert "holds something already" in capsys.readouterr().err

    def test_a_wrong_file_is_one_line(self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        data = write_dataset(tmp_path / "data", 1, 1)
        file = data / "train" / "_annotations.coco.json"
        file.write_text(file.read_text().replace('"bbox"', '"box"'))
        assert run(["finetune", str(data), "--model", str(model_folder), "--output", str(tmp_path / "out")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {file}: annotations[0] (id 0): bbox is [x, y, width, height]")
