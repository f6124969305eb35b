from pathlib import Path

import pytest
from tests.support.coco import write_dataset
from tests.support.folders import write_model_folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images to train with and three to evaluate with, with masks."""
    return write_dataset(tmp_path_factory.mktemp("data"))
