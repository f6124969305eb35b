"""The house: what is public, what imports what, what an import does."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import transformers

import sam3_hf
from tests.support.folders import write_model_folder

SOURCE = Path(sam3_hf.__file__).parent

# A file may import files of lower floors, and of its own folder.
FLOORS = {
    "configuration_sam3": 0,
    "configuration_sam3_loss": -1,
    "hub": -1,
    "extras": 0,
    "embedded_models": 0,
    "ops": 0,
    "model_card": 0,
    "repository": 1,
    "loaded_weights": 0,
    "released_names": 0,
    "weight_files": 0,
    "weight_values": 0,
    "modeling_base": 1,
    "modeling_outputs": 1,
    "feature_cache": 2,
    "layers": 1,
    "inputs": 1,
    "results": 1,
    "configuration_sam3_tracker": 1,
    "configuration_sam3_tracker_video": 2,
    "configuration_sam3_video": 2.25,
    "video": 2.5,
    "image_processing_sam3_tracker": 2,
    "image_processing_sam3": 3,
    "tokenization_sam3": 2,
    "vision": 2,
    "text": 2,
    "processing_sam3": 4,
    "processing_sam3_tracker": 4,
    "detector": 3,
    "losses": 3,
    "tracker": 3,
    "modeling_sam3": 4,
    "modeling_sam3_tracker": 4,
    "modeling_sam3_tracker_video": 5,
    "processing_sam3_tracker_video": 5,
    "following": 5,
    "modeling_sam3_video": 6,
    "processing_sam3_video": 6,
    "visualization": 3,
    "datasets": 3,
    "video_io": 4,
    "loading": 6.5,
    "segmentation": 5,
    "quantization": 5,
    "pipelines": 6,
    "conversion": 6,
    "evaluation": 7,
    "training": 8,
    "auto": 7,
    "benchmarking": 7,
    "cli": 9,
}


def module_files() -> list[Path]:
    return [
        path
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent != SOURCE or path.stem not in ("__init__", "__main__")
    ]


def imports_of(path: Path) -> set[str]:
    """The names under `sam3_hf` that a file imports, without those inside functions."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("sam3_hf.")}


@pytest.mark.parametrize("path", module_files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downhill(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert room in FLOORS, f"{room} has no floor"
    for other in imports_of(path) - {room}:
        assert FLOORS[other] < FLOORS[room], (
            f"{path.name} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
        )


@pytest.mark.parametrize(
    "path", sorted(SOURCE.glob("*process*_sam3*.py")) + sorted(SOURCE.glob("inputs/*.py")), ids=lambda path: path.name
)
def test_processing_never_imports_models(path: Path) -> None:
    others = {name for name in imports_of(path) if not name.startswith("processing")}
    assert not {name for name in others if name.startswith("modeling") or FLOORS[name] >= 4}


def test_public_names_are_those_that_exist() -> None:
    assert sam3_hf.__all__ == sorted(sam3_hf.__all__)
    for name in sam3_hf.__all__:
        assert getattr(sam3_hf, name).__module__.startswith("sam3_hf."), name
        assert getattr(sam3_hf, name).__doc__, name


def run(code: str) -> str:
    options = ["-W", "error", "-c", code]
    return subprocess.run([sys.executable, *options], check=True, capture_output=True, text=True, timeout=100).stdout


def test_import_needs_neither_torchvision_nor_triton() -> None:
    absent = "import sys; sys.modules.update(torchvision=None, triton=None)\n"
    assert run(absent + "import sam3_hf; print(sam3_hf.Sam3Model.__name__)").strip() == "Sam3Model"


def test_import_opens_no_connection_starts_no_device_and_makes_no_weights() -> None:
    watched = (
        "import socket, sys\n"
        "def refuse(*arguments): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "import torch\n"
        "before = torch.random.get_rng_state()\n"
        "import sam3_hf\n"
        "assert torch.random.get_rng_state().equal(before)\n"
        "assert not torch.cuda.is_initialized()\n"
        "print(sorted({'matplotlib', 'pandas', 'pycocotools', 'typer'} & set(sys.modules)))"
    )
    assert run(watched).strip() == "[]"


class TestAutoClasses:
    def test_they_give_our_classes(self) -> None:
        config = transformers.AutoConfig.for_model("sam3")
        assert type(config) is sam3_hf.Sam3Config

    @pytest.mark.parametrize("layout", ["detector", "released"])
    def test_they_load_a_folder_with_our_classes(self, tmp_path: Path, layout: str) -> None:
        write_model_folder(tmp_path)
        if layout == "released":
            nested = {"model_type": "sam3_video", "detector_config": json.loads((tmp_path / "config.json").read_text())}
            (tmp_path / "config.json").write_text(json.dumps(nested))
            processor = (tmp_path / "processor_config.json").read_text()
            (tmp_path / "processor_config.json").write_text(processor.replace("Sam3Processor", "Sam3VideoProcessor"))
        assert type(transformers.AutoModel.from_pretrained(tmp_path)) is sam3_hf.Sam3Model
        assert isinstance(transformers.AutoProcessor.from_pretrained(tmp_path), sam3_hf.Sam3Processor)
        assert type(transformers.AutoImageProcessor.from_pretrained(tmp_path)) is sam3_hf.Sam3ImageProcessor
        assert type(transformers.AutoTokenizer.from_pretrained(tmp_path)).__name__ == "CLIPTokenizer"

    def test_transformers_own_model_stays_what_it_was(self) -> None:
        config = transformers.Sam3Config()
        assert type(config.vision_config).__module__.startswith("transformers.")
        assert transformers.Sam3Model.__module__.startswith("transformers.")

    def test_undoing_gives_transformers_its_own_back(self) -> None:
        sam3_hf.unregister_auto_classes()
        try:
            assert type(transformers.AutoConfig.for_model("sam3")) is transformers.Sam3Config
        finally:
            sam3_hf.register_auto_classes()
        assert type(transformers.AutoConfig.for_model("sam3")) is sam3_hf.Sam3Config
