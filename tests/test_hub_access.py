import pytest

from sam3_hf import hub_access
from tests.support.hub import refusing_hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr(hub_access, "try_to_load_from_cache", lambda repo, name: None)
    with refusing_hub() as address:
        monkeypatch.setattr(hub_access, "hf_hub_url", lambda repo, name: f"{address}/{repo}/resolve/main/{name}")
        yield


@pytest.mark.parametrize(
    ("repo", "words"),
    [
        ("someone/gated", ["gated model", "request access", "/someone/gated", "hf auth login"]),
        ("someone/absent", ["no folder someone/absent", "no such model on the Hub"]),
        ("someone/hollow", ["holds no config.json"]),
        ("someone/forbidden", ["does not hand out someone/forbidden", "403"]),
        ("someone/broken", ["cannot be reached", "server error 500"]),
    ],
)
def test_a_refusal_says_what_to_do(hub, repo, words):
    problem = hub_access.problem_with(repo)
    assert all(word in problem for word in words), problem


def test_an_unreachable_hub_says_so(monkeypatch):
    monkeypatch.setattr(hub_access, "hf_hub_url", lambda repo, name: f"http://127.0.0.1:9/{repo}/{name}")
    assert "cannot be reached (ConnectError)" in hub_access.problem_with("someone/model")


@pytest.mark.parametrize("repo", ["someone/broken"])
def test_a_model_in_the_cache_needs_no_hub(hub, monkeypatch, repo):
    monkeypatch.setattr(hub_access, "try_to_load_from_cache", lambda repo, name: f"/cache/{name}")
    assert hub_access.problem_with(repo) is None
