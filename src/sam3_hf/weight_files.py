"""The files of a model folder: which there are, and whether they are whole and belong together.

folder -> configuration, index, shards -> their headers compared -> paths; no tensor is read
"""

import json
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

_LFS_POINTER = b"version https://git-lfs"
_ORIGINALS = ("*.pt", "*.pth")
_NAMES_SHOWN = 3


def check_source(source: Any, subfolder: str = "", variant: str | None = None, needs_config: bool = True) -> None:
    """Look at a local path before anything is loaded; a Hub id passes.

    Raises:
        ValueError: It is a file, a folder without a configuration of SAM 3, or its weight files are damaged or do not
            fit together.
    """
    if source is None or not Path(source).exists():
        return
    folder = Path(source) / subfolder
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is a file: pass the folder that save_pretrained wrote. The original's checkpoint file is loaded "
            "by Sam3Model.from_original."
        )
    if needs_config:
        _check_config(folder / "config.json")
    if not weight_files(folder, variant):
        for path in folder.glob("pytorch_model*.bin"):
            check_archive(path)


def check_archive(path: Path) -> None:
    """Look at a file that `torch.save` wrote, before it is read.

    Raises:
        ValueError: It is cut short, or would unpack to more than itself, which what torch writes never does.
    """
    if not zipfile.is_zipfile(path):
        # Older files have no archive around them; whatever is wrong with those, the reader itself will say.
        with path.open("rb") as file:
            if file.read(2) in (b"", b"PK"):
                raise ValueError(f"{path} is not a complete file: download it again.")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not a complete file ({error}): download it again.") from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError(f"{path} is a compressed archive, which no checkpoint is; it was not unpacked.")


def _check_config(path: Path) -> None:
    if not path.is_file():
        originals = [file.name for kind in _ORIGINALS for file in path.parent.glob(kind)]
        way = f"Sam3Model.from_original loads {originals[0]}." if originals else "Pass a folder of save_pretrained."
        raise ValueError(f"{path.parent} holds no config.json, so it is no model folder. {way}")
    try:
        kind = str(json.loads(path.read_text(encoding="utf-8")).get("model_type", "sam3"))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no configuration ({error}): download it again.") from error
    if not kind.startswith("sam3"):
        raise ValueError(f"{path} describes a model of type {kind!r}, not SAM 3.")


def weight_files(folder: Path, variant: str | None = None) -> list[Path]:
    """The files that hold the weights, or none if there is neither `model.safetensors` nor an index of shards.

    Raises:
        ValueError: A file is damaged, or the shards are not those of their index.
    """
    stem = f"model.{variant}" if variant else "model"
    single, index = folder / f"{stem}.safetensors", _index(folder, variant)
    if single.is_file():
        names_in(single)
        return [single]
    return _shards(index) if index.is_file() else []


def names_in(path: Path) -> set[str]:
    """The names of the tensors in a safetensors file.

    Raises:
        ValueError: It is cut short, or no such file.
    """
    try:
        with safe_open(path, "pt") as opened:
            return set(opened.keys())
    except SafetensorError as error:
        with path.open("rb") as file:
            pointer = file.read(len(_LFS_POINTER)) == _LFS_POINTER
        cause = "is a Git LFS pointer instead of the file: run `git lfs pull`." if pointer else _damaged(error)
        raise ValueError(f"{path} {cause}") from error


def _damaged(error: Exception) -> str:
    return f"is damaged or was not downloaded completely ({error}): download it again."


def _index(folder: Path, variant: str | None) -> Path:
    name = f"model.safetensors.index.{variant}.json" if variant else "model.safetensors.index.json"
    return folder / name


def _shards(index: Path) -> list[Path]:
    """The shards that an index lists, each with exactly the tensors that it should hold."""
    try:
        places: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files: dict[str, set[str]] = {file: set() for file in sorted(places.values())}
        for name, file in places.items():
            files[file].add(name)
        absent = [file for file in files if not (index.parent / file).is_file()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of weight files ({error!r}): download it again.") from error
    if absent:
        raise ValueError(f"{index} lists {', '.join(absent)}, which is not there: copy or download all shards.")
    for file, names in files.items():
        _compare(index, file, names)
    return [index.parent / file for file in files]


def _compare(index: Path, file: str, names: set[str]) -> None:
    held = names_in(index.parent / file)
    problems = {"lacks": names - held, "also holds": held - names}
    said = [f"{verb} {_listed(tensors)}" for verb, tensors in problems.items() if tensors]
    if said:
        raise ValueError(
            f"{index.parent / file} {' and '.join(said)}, other than {index.name} says: these are files of different "
            "saves. Copy or download all of them again."
        )


def _listed(names: Collection[str]) -> str:
    rest = len(names) - _NAMES_SHOWN
    return ", ".join(sorted(names)[:_NAMES_SHOWN]) + (f" and {rest} more tensors" if rest > 0 else "")
