"""Loading from a Hub that works."""

import os
import subprocess
import sys

import pytest
from tests.support.hub import TOKEN


def downloads(hub):
    return [what for what in hub.asked if what.startswith("GET") and what != "GET api"]


def test_everything_loads_and_a_second_time_downloads_nothing(hub, online, publish, fingerprint):
    name = publish()
    first = online.all(name)
    assert first["model"].value == fingerprint
    assert first["processor"].value[: len(first["tokenizer"].value)] == first["tokenizer"].value
    assert downloads(hub).count("GET model.safetensors") == 1
    hub.asked.clear()
    assert online.all(name) == first
    assert downloads(hub) == []


def test_the_auto_classes_give_ours(online, publish):
    expected = ["Sam3Model", "Sam3Processor", "Sam3ImageProcessor", "CLIPTokenizer"]
    assert online.automatic(publish()).value == expected


def test_another_version_of_the_model_is_downloaded(hub, online, publish, tmp_path, fingerprint):
    name = publish(tmp_path / "model")
    before = online.model(name)
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text() + "\n")
    hub.asked.clear()
    assert online.model(name) == before
    assert downloads(hub) == ["GET config.json"]


def test_a_revision_by_commit_loads(hub, online, publish, fingerprint):
    name = publish()
    assert online.model(name, revision=hub.repositories[name].commit()).value == fingerprint


def test_a_private_model_loads_with_its_token(online, publish, fingerprint):
    name = publish(private=True)
    assert online.model(name, token=TOKEN).value == fingerprint


def test_a_cache_of_ones_own_is_used(online, publish, tmp_path, fingerprint):
    assert online.model(publish(), cache_dir=str(tmp_path / "cache")).value == fingerprint
    assert list((tmp_path / "cache").glob("models--org--*/snapshots/*/model.safetensors"))


def test_the_command_loads_from_the_hub(online, publish, photograph):
    assert online.command(publish(), **photograph).value == (0, "")


@pytest.mark.slow
def test_the_command_loads_from_the_hub_as_a_program(hub, home, publish, photograph):
    environment = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": hub.address}
    command = [sys.executable, "-m", "sam3_hf", "segment", photograph["image"], "--text", "helmet", "--device", "cpu"]
    command += ["--output", photograph["output"], "--model", publish()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
