"""Every folder that SAM 3 weights come in gives the same model."""

import json
import pickle
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

import sam3_hf
from sam3_hf.conversion.convert import convert_checkpoint
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.to_original import convert_to_original
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.processing_sam3 import Sam3Processor
from tests.support import golden
from tests.support.checkpoints import TINY_CHECKPOINT, TINY_CONFIG
from tests.support.folders import tiny_processor
from tests.support.tolerances import ORIGINAL

LAYOUTS = ["detector", "released", "video_saved", "video_loaded_and_saved"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny: Sam3Model) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("layouts")
    tiny.save_pretrained(root / "detector")
    convert_checkpoint(TINY_CHECKPOINT, root / "released", config=TINY_CONFIG, tokenizer="none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # transformers' video code compiles with torch.jit
        write_video_folders(root)
    return {name: root / name for name in LAYOUTS}


def write_video_folders(root: Path) -> None:
    """What transformers' own classes write: of a model made there, and of one loaded from the released layout."""
    # Its memory attention insists on 64 channels; the recorded model has 16.
    config = json.loads((golden.FOLDER / "config.json").read_text())
    config["tracker_config"]["memory_encoder_output_channels"] = 64
    sam3_hf.unregister_auto_classes()
    try:
        video = transformers.Sam3VideoModel(transformers.Sam3VideoConfig(**config))
        video.detector_model.load_state_dict(golden.tiny_weights())
        one_matrix(video)
        video.save_pretrained(root / "video_saved")
        video.config.save_pretrained(root / "right")
        tensors = {name: tensor.clone() for name, tensor in video.state_dict().items()}
        save_file(tensors, root / "right" / "model.safetensors", {"format": "pt"})
        again = transformers.Sam3VideoModel.from_pretrained(root / "right")
        again.save_pretrained(root / "video_loaded_and_saved")
    finally:
        sam3_hf.register_auto_classes()
    ours = tiny_processor(root)
    sizes = {"size": {"height": 168, "width": 168}, "mask_size": {"height": 48, "width": 48}}
    images, frames = transformers.Sam3ImageProcessor(**sizes), transformers.Sam2VideoVideoProcessor()
    processor = transformers.Sam3VideoProcessor(images, frames, ours.tokenizer)
    processor.save_pretrained(root / "video_saved")


def one_matrix(video: nn.Module) -> None:
    """Checkpoints hold the tracker's random matrix twice; a new model draws it twice."""
    tracker = video.tracker_model
    matrix = tracker.prompt_encoder.shared_embedding.positional_embedding
    tracker.shared_image_embedding.positional_embedding.data.copy_(matrix)


def assert_recorded(model: nn.Module, case: str = "text_box_pos_neg") -> None:
    recorded = golden.case(case)
    with torch.no_grad():
        outputs = model(**recorded.inputs)
    for key, tolerance in ORIGINAL.items():
        expected = recorded.outputs["pred_boxes_xyxy" if key == "pred_boxes" else key]
        torch.testing.assert_close(getattr(outputs, key), expected, rtol=0, atol=tolerance, msg=key)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loader", [Sam3Model, transformers.AutoModel])
def test_every_layout_gives_the_recorded_outputs(folders: dict[str, Path], layout: str, loader: type) -> None:
    model, info = loader.from_pretrained(folders[layout], output_loading_info=True)
    assert type(model) is Sam3Model
    assert not info["missing_keys"]
    assert_recorded(model)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_saved_as_a_detector_again(folders: dict[str, Path], layout: str, tmp_path: Path) -> None:
    Sam3Model.from_pretrained(folders[layout]).save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == golden.tiny_weights().keys()
    assert all(tensor.equal(golden.tiny_weights()[name]) for name, tensor in saved.items())


@pytest.mark.parametrize("layout", ["released", "video_saved"])
def test_a_layout_can_be_sharded(folders: dict[str, Path], layout: str, tmp_path: Path) -> None:
    weights = load_file(folders[layout] / "model.safetensors")
    places = {name: f"model-{1 + number % 3:05}-of-00003.safetensors" for number, name in enumerate(sorted(weights))}
    for file in set(places.values()):
        save_file({name: weights[name] for name in places if places[name] == file}, tmp_path / file, {"format": "pt"})
    index = {"metadata": {"total_size": sum(tensor.nbytes for tensor in weights.values())}, "weight_map": places}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text((folders[layout] / "config.json").read_text())
    assert_recorded(Sam3Model.from_pretrained(tmp_path), "text_only")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("said", ["inside and outside", "outside", "nowhere"])
def test_half_precision_stays_half_precision(folders: dict[str, Path], layout: str, said: str, tmp_path: Path) -> None:
    weights = load_file(folders[layout] / "model.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, tmp_path / "model.safetensors")
    config = json.loads((folders[layout] / "config.json").read_text())
    # Saving a model after `model.to(dtype)` writes the outer type alone.
    if said == "outside":
        config["dtype"] = "bfloat16"
    else:
        set_dtype(config, "bfloat16" if said == "inside and outside" else None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    for options in ({}, {"dtype": "auto", "device_map": "cpu", "low_cpu_mem_usage": True}):
        model = Sam3Model.from_pretrained(tmp_path, **options)
        assert {value.dtype for value in model.state_dict().values()} == {torch.bfloat16}


def set_dtype(config: dict, dtype: str | None) -> None:
    config["dtype"] = dtype
    for value in config.values():
        if isinstance(value, dict) and "model_type" in value:
            set_dtype(value, dtype)


@pytest.mark.parametrize("options", [{"device_map": "auto"}, {"device_map": "cpu"}, {"low_cpu_mem_usage": True}])
@pytest.mark.parametrize("layout", ["released", "video_saved"])
def test_placement_changes_nothing(folders: dict[str, Path], layout: str, options: dict) -> None:
    assert_recorded(Sam3Model.from_pretrained(folders[layout], **options), "text_only")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_can_be_written_in_the_originals_names(
    folders: dict[str, Path], layout: str, tmp_path: Path
) -> None:
    convert_to_original(folders[layout], tmp_path / "sam3.safetensors")
    assert_recorded(Sam3Model.from_original(tmp_path / "sam3.safetensors", TINY_CONFIG), "text_only")


def test_the_processor_that_transformers_saved_beside_a_video_model_loads(folders: dict[str, Path]) -> None:
    processor = Sam3Processor.from_pretrained(folders["video_saved"])
    assert dict(processor.image_processor.size) == {"height": 168, "width": 168}
    assert processor(text="cat", return_tensors="pt").input_ids.shape == (1, 32)


def test_a_folder_of_another_kind_of_model_is_an_error(tmp_path: Path, tiny: Sam3Model) -> None:
    tiny.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip", "hidden_size": 8}))
    with pytest.raises(ValueError, match=r"config\.json describes a model of type 'clip', not SAM 3"):
        Sam3Model.from_pretrained(tmp_path)


class Trap:
    """Would make a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    "write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))]
)
def test_code_in_a_weight_file_is_not_run(tmp_path: Path, tiny: Sam3Model, write: object) -> None:
    tiny.config.save_pretrained(tmp_path)
    write({"text_projection.bias": Trap(tmp_path / "made")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds more than weights; code in it was not run"):
        Sam3Model.from_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "sam3.pt")
    with pytest.raises(ConversionError, match=r"sam3\.pt"):
        Sam3Model.from_original(tmp_path / "sam3.pt")
    assert not (tmp_path / "made").exists()


def test_weights_in_the_older_file_format_load(tmp_path: Path, tiny: Sam3Model) -> None:
    tiny.config.save_pretrained(tmp_path)
    torch.save(tiny.state_dict(), tmp_path / "pytorch_model.bin")
    assert_recorded(Sam3Model.from_pretrained(tmp_path), "text_only")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads memory from /proc")
@pytest.mark.parametrize("way", ["from_pretrained", "from_original"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_takes_the_memory_of_the_weights_once(tmp_path: Path, way: str, dtype: str) -> None:
    config = golden.tiny_config()
    config.text_config.vocab_size, config.text_config.hidden_size = 100_000, 1024
    config.save_pretrained(tmp_path)
    model = Sam3Model(config)
    model.save_pretrained(tmp_path)
    size = sum(value.numel() for value in model.state_dict().values()) * getattr(torch, dtype).itemsize
    convert_to_original(tmp_path, tmp_path / "a.pt")
    script = f"""
        import threading, time
        from sam3_hf import Sam3Model
        import sam3_hf.conversion.originals

        def in_use():
            status = open("/proc/self/status").read()
            return 1024 * int(status.split("RssAnon:")[1].split()[0])

        def watch():
            while not done:
                peaks.append(in_use())
                time.sleep(0.002)

        done, peaks = [], [in_use()]
        watching = threading.Thread(target=watch)
        watching.start()
        if {way!r} == "from_original":
            model = Sam3Model.from_original("a.pt", "config.json", dtype={dtype!r})
        else:
            model = Sam3Model.from_pretrained(".", dtype={dtype!r}, low_cpu_mem_usage=True)
        done.append(True)
        watching.join()
        print(max(peaks) - peaks[0])
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    grown = int(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    assert size > 200e6
    assert grown < 1.15 * size + 30e6
