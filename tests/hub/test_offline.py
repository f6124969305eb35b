"""Without the network: from the cache, from a folder, or with a clear error; never with a connection."""

import pytest
from tests.support.hub_client import client


@pytest.fixture(scope="module")
def unplugged(tmp_path_factory):
    """Nobody said that it is offline, but it cannot connect."""
    with client(tmp_path_factory.mktemp("empty_home"), "http://127.0.0.1:9", unplugged=True) as unplugged:
        yield unplugged


def test_what_is_in_the_cache_loads(hub, online, offline, publish, photograph):
    name = publish()
    before = online.all(name)
    hub.asked.clear()
    assert offline.all(name) == before
    assert offline.automatic(name).value[0] == "Sam3Model"
    assert offline.command(name, **photograph).value == (0, "")
    assert online.all(name, local_files_only=True) == before
    assert not [what for what in hub.asked if what != "GET api"]


def test_what_is_not_in_the_cache_is_missed_clearly(offline, photograph):
    for outcome in offline.all("org/nothing").values():
        assert "HubError" in outcome.kinds
        assert "org/nothing is not in the cache" in outcome.error
        assert "HF_HUB_OFFLINE" in outcome.error
        assert outcome.connections == 0
    code, said = offline.command("org/nothing", **photograph).value
    assert code == 2
    assert said.startswith("error: org/nothing is not in the cache")


def test_local_files_only_asks_nobody(hub, online):
    hub.asked.clear()
    for outcome in online.all("org/nothing", local_files_only=True).values():
        assert "org/nothing is not in the cache" in outcome.error
    assert hub.asked == []


def test_a_model_that_is_cached_in_part_is_missed_clearly(online, offline, publish):
    name = publish()
    online.tokenizer(name)
    assert "or not completely" in offline.model(name).error


def test_a_hub_that_cannot_be_reached_is_named(unplugged, photograph):
    for outcome in unplugged.all("org/nothing").values():
        assert "HubError" in outcome.kinds
        assert "http://127.0.0.1:9 cannot be reached (" in outcome.error
        assert outcome.connections
    _, said = unplugged.command("org/nothing", **photograph).value
    assert "cannot be reached (ConnectError)" in said


def test_a_local_path_opens_no_connection(unplugged, folder, fingerprint, photograph):
    loaded = unplugged.all(str(folder))
    automatic = unplugged.automatic(str(folder))
    command = unplugged.command(str(folder), **photograph)
    assert loaded["model"].value == fingerprint
    assert automatic.value[0] == "Sam3Model"
    assert command.value == (0, "")
    for outcome in (*loaded.values(), automatic, command):
        assert (outcome.error, outcome.connections) == ("", 0)


def test_a_damaged_local_path_opens_no_connection(unplugged, tmp_path):
    for outcome in unplugged.all(str(tmp_path)).values():
        assert outcome.error
        assert "HubError" not in outcome.kinds
        assert outcome.connections == 0


def test_a_mistyped_path_opens_no_connection(unplugged):
    for outcome in unplugged.all("./models/not/here").values():
        assert outcome.connections == 0
        assert "OSError" in outcome.kinds
        assert "./models/not/here" in outcome.error
