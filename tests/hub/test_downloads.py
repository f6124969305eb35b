"""Downloads that go wrong leave nothing behind that could be taken for the model."""

import pytest
from tests.support.hub_client import CHUNK


@pytest.fixture
def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def blobs(home, name):
    return list((home / "hub" / f"models--{name.replace('/', '--')}" / "blobs").glob("?" * 64))


def test_a_dropped_connection_is_resumed(hub, online, publish, fingerprint):
    name = publish(cuts=[3 * CHUNK + 100, 2 * CHUNK])
    assert online.model(name).value == fingerprint
    fetched = [what for what in hub.asked if what.startswith("GET model.safetensors")]
    assert fetched == [f"GET model.safetensors{rest}" for rest in ("", f" from {3 * CHUNK}", f" from {5 * CHUNK}")]


def test_a_download_that_breaks_off_for_good_can_be_repeated(hub, home, online, publish, fingerprint):
    name = publish(cuts=[CHUNK, *[0] * 10])
    outcome = online.model(name)
    assert "HubError" in outcome.kinds
    assert f"The download of {name} broke off" in outcome.error
    assert "load again" in outcome.error
    assert not blobs(home, name)
    hub.repositories[name].cuts.clear()
    assert online.model(name).value == fingerprint


def test_a_server_that_ignores_where_to_go_on_does_no_harm(online, publish, fingerprint):
    assert online.model(publish(cuts=[2 * CHUNK], ranges=False)).value == fingerprint


def test_a_slow_download_arrives(online, publish, fingerprint):
    assert online.model(publish(pause=0.001)).value == fingerprint


@pytest.mark.parametrize("kind", ["shorter", "longer"])
def test_a_file_of_another_size_is_refused(hub, home, online, publish, weights, fingerprint, kind):
    name = publish(sends=weights[:-1000] if kind == "shorter" else weights + b"0" * 1000)
    outcome = online.model(name)
    assert f"The download of {name} broke off" in outcome.error
    assert not blobs(home, name)
    hub.repositories[name].sends = None
    assert online.model(name).value == fingerprint


@pytest.mark.parametrize("place", ["in a tensor", "in the header"])
def test_a_file_of_other_content_is_refused_and_removed(hub, home, online, publish, weights, fingerprint, place):
    changed = bytearray(weights)
    changed[-1 if place == "in a tensor" else 20] ^= 1
    name = publish(sends=bytes(changed))
    for _ in range(2):
        outcome = online.model(name)
        assert "HubError" in outcome.kinds
        assert f"A file of {name} arrived with other content" in outcome.error
        assert not blobs(home, name)
    hub.repositories[name].sends = None
    assert online.model(name).value == fingerprint


def test_weights_withheld_are_an_error(online, publish):
    outcome = online.model(publish(status_of={"model.safetensors": 503}))
    assert "OSError" in outcome.kinds
    assert outcome.value is None
