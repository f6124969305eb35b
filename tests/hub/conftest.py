import shutil

import pytest
from safetensors.torch import load_file
from tests.support.folders import write_model_folder
from tests.support.hub import Repository, serving_hub
from tests.support.hub_client import client


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model repository, without files that only its making needed."""
    folder = write_model_folder(tmp_path_factory.mktemp("repository"))
    (folder / "merges.txt").unlink()
    return folder


@pytest.fixture(scope="session")
def fingerprint(folder):
    """Of the right weights."""
    weights = load_file(folder / "model.safetensors")
    return pytest.approx(sum(float(weight.double().abs().sum()) for weight in weights.values()), rel=1e-12)


@pytest.fixture(scope="session")
def hub():
    with serving_hub() as hub:
        yield hub


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("hf_home")


@pytest.fixture(scope="session")
def online(hub, home):
    with client(home, hub.address) as online:
        yield online


@pytest.fixture(scope="session")
def offline(home):
    """Shares the cache, may not use the network, and could not."""
    with client(home, "http://127.0.0.1:9", offline=True, unplugged=True) as offline:
        yield offline


@pytest.fixture
def publish(hub, folder, request):
    """Puts the model on the Hub, under a name of this test's own; gives the name."""

    def publish(copy_to=None, **troubles):
        name = f"org/model-{len(hub.repositories)}"
        place = shutil.copytree(folder, copy_to) if copy_to else folder
        hub.repositories[name] = Repository(place, **troubles)
        hub.asked.clear()
        return name

    return publish


@pytest.fixture
def photograph(tmp_path):
    from tests.support.photographs import photograph

    photograph().save(tmp_path / "cat.png")
    return {"image": str(tmp_path / "cat.png"), "output": str(tmp_path / "out")}
