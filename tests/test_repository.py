import base64
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, constants
from safetensors.torch import load

from sam3_hf import Sam3Model, Sam3Processor
from sam3_hf.model_card import CardDetails
from tests.support.folders import finding_model, tiny_processor
from tests.support.web import serving


@pytest.fixture(scope="module")
def model() -> Sam3Model:
    return finding_model()


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Sam3Processor:
    return tiny_processor(tmp_path_factory.mktemp("processor"))


def test_a_folder_is_complete(model: Sam3Model, processor: Sam3Processor, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "mine", processor=processor, card=CardDetails(evaluation={"cgF1": 0.7}))
    names = {path.name for path in (tmp_path / "mine").iterdir()}
    assert {"model.safetensors", "config.json", "README.md", "tokenizer.json", "processor_config.json"} <= names
    assert "| cgF1 | 0.7 |" in (tmp_path / "mine" / "README.md").read_text()
    Sam3Model.from_pretrained(tmp_path / "mine")
    Sam3Processor.from_pretrained(tmp_path / "mine")


def test_a_card_that_is_there_stays(model: Sam3Model, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    model.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as an upload needs; keeps what arrives."""

    uploaded: dict[str, bytes]
    has_card = False

    def do_HEAD(self) -> None:
        self.answer(
            200 if self.has_card else 404,
            {},
            {"X-Error-Code": "EntryNotFound", "ETag": '"1"', "X-Repo-Commit": "0" * 40},
        )

    def do_GET(self) -> None:
        self.answer(200, {"id": "me/mine", "sha": "0" * 40, "siblings": [], "name": "me"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path.endswith("/create"):
            self.answer(200, {"url": "http://127.0.0.1/me/mine", "name": "me/mine"})
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self.answer(200, {"files": files})
        elif "/commit/" in self.path:
            entries = [json.loads(line) for line in body.splitlines()]
            for entry in entries:
                if entry["key"] == "file":
                    self.uploaded[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.answer(200, {"success": True, "commitOid": "1" * 40, "commitUrl": "http://127.0.0.1/me/mine/commit/1"})
        else:
            self.answer(200, {})

    def answer(self, status: int, body: dict, headers: dict | None = None) -> None:
        content = b"" if self.command == "HEAD" else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(content))} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("has_card", [False, True])
def test_pushing_uploads_everything_and_keeps_a_card(
    model: Sam3Model, processor: Sam3Processor, monkeypatch: pytest.MonkeyPatch, has_card: bool
) -> None:
    handler = type("ThisHub", (Hub,), {"uploaded": {}, "has_card": has_card})
    with serving(handler) as address:
        for name, value in {
            "ENDPOINT": address,
            "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", address, raising=False)
        model.push_to_hub("me/mine", processor=processor, token="hf_test")
    uploaded = handler.uploaded
    assert {"model.safetensors", "config.json", "tokenizer.json", "processor_config.json"} <= set(uploaded)
    assert set(load(uploaded["model.safetensors"])) == set(model.state_dict())
    assert ("README.md" in uploaded) != has_card
    if not has_card:
        card = ModelCard(uploaded["README.md"].decode())
        assert card.data.license_name == "sam-license"
        assert 'from_pretrained("me/mine")' in card.text
