import pytest
from tests.support.folders import write_model_folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return write_model_folder(tmp_path_factory.mktemp("model"))
