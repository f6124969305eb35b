"""A Hub that refuses: every way of loading says why, and what to do."""

import pytest
from tests.support.hub import TOKEN

# What the Hub does, how it is called, and what the user must read.
REFUSALS = {
    "gated, not logged in": (
        {"gated": True},
        {},
        ["gated model", "request access on its page", "{hub}/{name}", "hf auth login", "token="],
    ),
    "gated, logged in": (
        {"gated": True},
        {"token": TOKEN},
        ["gated model", "your token has no access", "{hub}/{name}", "wait until it is granted"],
    ),
    "wrong token": ({}, {"token": "hf_wrong"}, ["does not accept your token", "hf auth login", "HF_TOKEN"]),
    "private": ({"private": True}, {}, ["no folder {name} here", "no such model on the Hub", "check the name"]),
    "no such revision": ({}, {"revision": "v9"}, ["{name} has no revision 'v9'", "{hub}/{name}/tree/main"]),
    "server error": ({"status": 500}, {}, ["server error 500", "try again later"]),
    "overloaded": ({"status": 503}, {}, ["server error 503", "try again later"]),
    "too many requests": ({"status": 429}, {}, ["does not hand out {name}", "429"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_what_to_do(hub, online, publish, case):
    troubles, options, words = REFUSALS[case]
    name = publish(**troubles)
    for way, outcome in online.all(name, **options).items():
        assert {"HubError", "OSError"} <= set(outcome.kinds), f"{way}: {outcome}"
        for word in words:
            assert word.format(hub=hub.address, name=name) in outcome.error, f"{way}: {outcome.error}"
        assert outcome.causes, way


def test_a_missing_model_says_so(online):
    for outcome in online.all("org/nothing").values():
        assert "There is no folder org/nothing here and no such model on the Hub" in outcome.error


@pytest.mark.parametrize("case", ["gated, not logged in", "private", "server error"])
def test_the_command_says_it_in_one_line_and_at_once(hub, online, publish, photograph, case):
    troubles, _, words = REFUSALS[case]
    name = publish(**troubles)
    code, said = online.command(name, **photograph).value
    assert code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert all(word.format(hub=hub.address, name=name) in said for word in words)
    assert hub.asked == ["HEAD config.json"]


def test_a_repository_without_model_is_none(online, publish, tmp_path, photograph):
    name = publish(tmp_path / "model")
    (tmp_path / "model" / "config.json").unlink()
    _, said = online.command(name, **photograph).value
    assert f"{name} is no model: it holds no config.json." in said


def test_missing_weights_are_no_trouble_of_the_hub(online, publish, tmp_path):
    name = publish(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    outcome = online.model(name)
    assert "HubError" not in outcome.kinds
    assert "model.safetensors" in outcome.error


def test_a_tokenizer_that_the_hub_withholds_is_not_replaced_by_an_empty_one(online, publish):
    name = publish(status_of={"tokenizer.json": 503})
    assert "No CLIP tokenizer" in online.processor(name).error
    assert "No CLIP tokenizer" in online.tokenizer(name).error


def test_a_cached_model_loads_while_the_hub_is_down(hub, online, publish, fingerprint, photograph):
    name = publish()
    before = online.all(name)
    hub.repositories[name].status = 503
    assert online.all(name) == before
    assert online.command(name, **photograph).value[0] == 0
