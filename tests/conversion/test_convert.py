import errno
import json
import os
import runpy
import signal
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.support import multiplex_golden
from tests.support.checkpoints import TINY, TINY_CHECKPOINT, TINY_CONFIG, fingerprint, tiny_expected, tiny_tensors

from sam3_hf.conversion import writing
from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.convert import convert_checkpoint
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.layout import expected_original
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.processing_sam3 import Sam3Processor

MERGES = "bpe_simple_vocab_16e6.txt.gz"
FRONT_DOOR = Path(__file__).parents[2] / "convert_checkpoint.py"
TINY_ARGUMENTS = {"config": TINY_CONFIG, "tokenizer": "none"}
DETECTOR = "detector_model."
WRITTEN = {"config.json", "model.safetensors", "preprocessor_config.json"}


def merges_file():
    """The vocabulary of the original, which a package of the test extra brings along."""
    return Path(find_spec("open_clip").origin).with_name(MERGES)


def convert_tiny(output, checkpoint=TINY_CHECKPOINT, **options):
    return convert_checkpoint(checkpoint, output, **{**TINY_ARGUMENTS, **options})


def weights(folder):
    return load_file(folder / "model.safetensors")


def config(folder):
    return json.loads((folder / "config.json").read_text())


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def from_the_shell(monkeypatch):
    """Runs the script with arguments; gives its exit code."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["convert_checkpoint.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(FRONT_DOOR), run_name="__main__")
        return caught.value.code

    return run


def test_every_tensor_equals_the_recorded_one(tmp_path):
    folder = convert_tiny(tmp_path / "model")
    assert names(folder) == WRITTEN
    assert {name: fingerprint(tensor) for name, tensor in weights(folder).items()} == tiny_expected()
    assert config(folder)["model_type"] == "sam3_video"
    assert config(folder)["dtype"] == "float32"


def test_nested_and_safetensors_checkpoints_give_the_same_files(tmp_path):
    tensors = tiny_tensors()
    torch.save({"model": tensors}, tmp_path / "nested.pt")
    real = {name: tensor.contiguous() for name, tensor in tensors.items() if not tensor.is_complex()}
    save_file(real, tmp_path / "a.safetensors")
    expected = (convert_tiny(tmp_path / "flat") / "model.safetensors").read_bytes()
    for name in ("nested.pt", "a.safetensors"):
        folder = convert_tiny(tmp_path / f"from_{name}", tmp_path / name)
        assert (folder / "model.safetensors").read_bytes() == expected


@pytest.mark.parametrize("configuration", ["config.json", "config_sam3.json"])
def test_transformers_loads_the_detector_whole(tmp_path, configuration):
    folder = convert_tiny(tmp_path / "model", config=TINY / configuration, part="detector")
    model, info = transformers.Sam3Model.from_pretrained(folder, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.vision_config.backbone_config.layer_norm_eps == 1e-5
    expected = {name.removeprefix(DETECTOR): e for name, e in tiny_expected().items() if name.startswith(DETECTOR)}
    assert {name: fingerprint(tensor) for name, tensor in model.state_dict().items()} == expected


@pytest.mark.parametrize("part", ["all", "detector"])
def test_our_model_loads_either_layout(tmp_path, part):
    model = Sam3Model.from_pretrained(convert_tiny(tmp_path / "model", part=part))
    expected = {name: entry for name, entry in tiny_expected().items() if name.startswith(DETECTOR)}
    assert {DETECTOR + name: fingerprint(tensor) for name, tensor in model.state_dict().items()} == expected
    assert model.config.vision_config.backbone_config.layer_norm_eps == 1e-5


def test_transformers_reads_the_video_configuration(tmp_path):
    read = transformers.AutoConfig.from_pretrained(convert_tiny(tmp_path / "model"))
    assert type(read).__name__ == "Sam3VideoConfig"
    assert read.detector_config.detr_decoder_config.num_queries == 20
    assert read.tracker_config.memory_encoder_output_channels == 16


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float16])
def test_dtype_is_that_of_every_tensor_and_of_the_configuration(tmp_path, dtype):
    folder = convert_tiny(tmp_path / "model", dtype=dtype)
    wanted = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype)
    assert {tensor.dtype for tensor in weights(folder).values()} == {wanted}
    assert config(folder)["dtype"] == str(wanted).removeprefix("torch.")


def test_a_half_precision_checkpoint_stays_half_precision(tmp_path):
    half = {name: tensor if tensor.is_complex() else tensor.half() for name, tensor in tiny_tensors().items()}
    torch.save(half, tmp_path / "half.pt")
    folder = convert_tiny(tmp_path / "model", tmp_path / "half.pt")
    assert {tensor.dtype for tensor in weights(folder).values()} == {torch.float16}
    assert config(folder)["dtype"] == "float16"


def test_image_processor_has_the_sizes_of_the_model(tmp_path):
    processor = transformers.Sam3ImageProcessor.from_pretrained(convert_tiny(tmp_path / "model"))
    assert (processor.size["height"], processor.size["width"]) == (168, 168)
    assert (processor.mask_size["height"], processor.mask_size["width"]) == (48, 48)


def test_tokenizer_is_the_vocabulary_next_to_the_checkpoint_or_the_one_given(tmp_path):
    for name, source in (("sam3.pt", TINY_CHECKPOINT), (MERGES, merges_file())):
        (tmp_path / name).write_bytes(source.read_bytes())
    beside = convert_tiny(tmp_path / "beside", tmp_path / "sam3.pt", tokenizer=None)
    given = convert_tiny(tmp_path / "given", tokenizer=merges_file())
    for folder in (beside, given):
        assert "tokenizer.json" in names(folder)
        inputs = Sam3Processor.from_pretrained(folder)(text="cat", return_tensors="pt")
        assert inputs.input_ids[0, :4].tolist() == [49406, 2368, 49407, 0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokenizer": None}, f"{MERGES} does not exist.*--tokenizer.*'none'"),
        ({"tokenizer": "no/such/folder/vocabulary.txt.gz"}, "No tokenizer could be made"),
        ({"tokenizer": TINY}, "No tokenizer could be made"),
        ({"config": None}, "missing: .*of another shape: .*pass its configuration"),
        ({"part": "tracker"}, "part must be one of all, detector, got 'tracker'"),
        ({"dtype": "float8"}, "dtype must be one of float32, bfloat16, float16, got 'float8'"),
    ],
)
def test_nothing_is_written_when_something_does_not_fit(tmp_path, options, said):
    with pytest.raises(ConversionError, match=f"(?s){said}"):
        convert_tiny(tmp_path / "model", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_stays_unless_overwriting_is_asked_for(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConversionError, match=r"already holds config\.json"):
        convert_tiny(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ["config.json", "notes.txt"], "mine"
    )
    convert_tiny(folder, overwrite=True)
    assert names(folder) == WRITTEN | {"notes.txt"}
    assert config(folder)["model_type"] == "sam3_video"


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(tensor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_raw", full_disk)
    with pytest.raises(OSError, match="No space"):
        convert_tiny(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize(("name", "exists"), [("SIGINT", False), ("SIGKILL", False), ("SIGKILL", True)])
def test_a_killed_run_leaves_nothing_under_a_final_name(tmp_path, name, exists):
    script = f"""
        import runpy, signal, sys, time
        from sam3_hf.conversion import writing
        raw, left = writing._raw, list(range(100))
        def slow(tensor):
            if left.pop() == 0:
                print("writing", flush=True)
                time.sleep(60)
            return raw(tensor)
        writing._raw = slow
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["convert", {str(TINY_CHECKPOINT)!r}, "model", "--config", {str(TINY_CONFIG)!r}, "--tokenizer=none"]
        runpy.run_path({str(FRONT_DOOR)!r}, run_name="__main__")
    """
    folder = tmp_path / "model"
    if exists:
        folder.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "writing\n"
        running.send_signal(getattr(signal, name))
        _, errors = running.communicate(timeout=30)
    assert not folder.exists() or all(name.startswith(".sam3-partial-") for name in names(folder))
    if name == "SIGINT":
        assert (running.returncode, errors.splitlines()[-1]) == (130, "interrupted; nothing was written")
        assert list(tmp_path.iterdir()) == []
    convert_tiny(folder)
    assert {name for name in names(folder) if not name.startswith(".")} == WRITTEN


def test_front_door_converts(tmp_path, from_the_shell):
    folder = tmp_path / "model"
    options = ["--config", TINY_CONFIG, "--tokenizer", "none", "--part", "detector", "--dtype", "float16"]
    assert from_the_shell(TINY_CHECKPOINT, folder, *options) == 0
    assert (config(folder)["architectures"], config(folder)["dtype"]) == (["Sam3Model"], "float16")


def test_front_door_tells_a_mistake_in_one_line(tmp_path, from_the_shell, capsys):
    path = tmp_path / "absent.pt"
    assert from_the_shell(path, tmp_path / "model") == 2
    assert (
        capsys.readouterr().err
        == f"error: {path} does not exist. Pass the original's checkpoint file, such as sam3.pt.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_front_door_writes_the_detector_of_sam_3_1_with_three_levels(tmp_path, from_the_shell):
    folder = tmp_path / "model"
    options = ["--config", multiplex_golden.CONFIG, "--tokenizer", "none", "--part", "detector"]
    assert from_the_shell(multiplex_golden.CHECKPOINT, folder, *options) == 0
    assert config(folder)["vision_config"]["scale_factors"] == [4.0, 2.0, 1.0]
    expected = {
        name.removeprefix(DETECTOR): entry
        for name, entry in multiplex_golden.expected().items()
        if name.startswith(DETECTOR)
    }
    assert {name: fingerprint(tensor) for name, tensor in weights(folder).items()} == expected


def test_the_whole_of_sam_3_1_is_refused_and_says_what_can_be_had(tmp_path):
    with pytest.raises(ConversionError, match=r"SAM 3\.1.*--part detector"):
        convert_checkpoint(multiplex_golden.CHECKPOINT, tmp_path / "model", tokenizer="none")
    assert list(tmp_path.iterdir()) == []


def test_front_door_refuses_unknown_options(tmp_path, from_the_shell, capsys):
    assert from_the_shell(TINY_CHECKPOINT, tmp_path / "model", "--dtype", "int8") == 2
    assert capsys.readouterr().err == "error: dtype must be one of float32, bfloat16, float16, got 'int8'.\n"
    assert from_the_shell(TINY_CHECKPOINT, tmp_path / "model", "--typo") == 2
    assert "No such option: --typo" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_memory_stays_under_twice_the_checkpoint(tmp_path, dtype):
    shallow = {
        "model_type": "sam3",
        "vision_config": {"backbone_config": {"num_hidden_layers": 4, "global_attn_indexes": [3]}},
        "text_config": {**read_config(None, "detector")["text_config"], "num_hidden_layers": 2, "vocab_size": 8192},
    }
    (tmp_path / "config.json").write_text(json.dumps(shallow))
    expected = expected_original(read_config(tmp_path / "config.json", "detector"))
    checkpoint = tmp_path / "a.pt"
    torch.save({name: torch.randn(tensor.shape) for name, tensor in expected.items()}, checkpoint)
    script = f"""
        import psutil
        from sam3_hf.conversion.convert import convert_checkpoint
        before = psutil.Process().memory_info().rss
        convert_checkpoint("a.pt", "out", config="config.json", part="detector", tokenizer="none", dtype={dtype!r})
        status = open("/proc/self/status").read()
        print(int(status.split("VmHWM:")[1].split()[0]) * 1024 - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    grown = int(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    assert checkpoint.stat().st_size > 300e6
    assert grown < 2.2 * checkpoint.stat().st_size
