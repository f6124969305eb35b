"""A Hub on this machine: the parts of the protocol that the `huggingface_hub` client speaks when it loads a model.

folder -> repository -> HEAD and GET /{repo}/resolve/{revision}/{file}, /api/models/{repo}[/revision/...][/tree/...]

Weight files are answered as the real Hub does: a redirect that names size and SHA-256, then the bytes from elsewhere.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "hf_right"
_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(/(?P<kind>revision|tree)/(?P<revision>[^/?]+))?")
_CHUNK = 4096


@dataclass
class Repository:
    """A model folder, who may read it, and what goes wrong on the way."""

    folder: Path
    gated: bool = False
    private: bool = False
    status: int = 0
    """Answers everything, if set."""
    status_of: dict[str, int] = field(default_factory=dict)
    """Answers requests for these files, by name."""
    cuts: list[int] = field(default_factory=list)
    """The next downloads of weights end after so many bytes."""
    sends: bytes | None = None
    """What is sent instead of the weights."""
    ranges: bool = True
    """Whether a download can go on in the middle."""
    pause: float = 0.0
    """Seconds between two chunks of the weights."""

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())

    def commit(self) -> str:
        """Changes with the content."""
        return hashlib.sha1(b"".join(name.encode() + self.read(name) for name in self.files())).hexdigest()


class Hub(ThreadingHTTPServer):
    """Its repositories by name, and what it was asked: "HEAD config.json", "GET model.safetensors from 100"."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"
        # Another host, as in the real world, so that clients take it for a place and not for the Hub.
        self.storage = f"http://localhost:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may hang up."""


class Answering(BaseHTTPRequestHandler):
    """One request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        if self.path.startswith("/storage/"):
            _, _, *name, file = self.path.split("/")
            self.note(file)
            self.store("/".join(name), file)
        elif found := _API.match(self.path):
            self.note("api")
            self.describe(**found.groupdict())
        elif found := _RESOLVE.match(self.path):
            self.note(found["file"])
            self.resolve(**found.groupdict())
        else:
            self.refuse(404)

    def note(self, what: str) -> None:
        start = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        self.server.asked.append(f"{self.command} {what}" + (f" from {start}" if start else ""))

    def describe(self, repo: str, kind: str | None, revision: str | None) -> None:
        """What the API says about a repository; it says it of gated ones too."""
        repository = self.allowed(repo, files=False)
        if repository is None:
            return
        if revision not in (None, "main", repository.commit()):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif kind == "tree":
            self.send_json([self.entry(repository, name) for name in repository.files()])
        else:
            siblings = [{"rfilename": name} for name in repository.files()]
            self.send_json({"id": repo, "modelId": repo, "sha": repository.commit(), "siblings": siblings})

    def entry(self, repository: Repository, name: str) -> dict[str, Any]:
        data = repository.read(name)
        entry = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        if is_large(name):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry

    def resolve(self, repo: str, revision: str, file: str) -> None:
        """A file of a repository, or where its bytes are."""
        repository = self.allowed(repo, files=True)
        if repository is None:
            return
        commit = {"X-Repo-Commit": repository.commit()}
        if revision not in ("main", repository.commit()):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif file in repository.status_of:
            self.refuse(repository.status_of[file])
        elif file not in repository.files():
            self.refuse(404, "EntryNotFound", "Entry not found", commit)
        elif is_large(file):
            data = repository.read(file)
            linked = {"X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Linked-Size": str(len(data))}
            place = {"Location": f"{self.server.storage}/storage/{repo}/{file}"}
            self.send(302, b"", commit | linked | place)
        else:
            data = repository.read(file)
            self.send(200, data, commit | {"ETag": f'"{hashlib.sha1(data).hexdigest()}"'})

    def allowed(self, repo: str, files: bool) -> Repository | None:
        """The repository, if it exists and this client may read it; else it is refused as the real Hub does."""
        repository, token = self.server.repositories.get(repo), self.headers.get("Authorization", "")
        known = token == f"Bearer {TOKEN}"
        if repository is not None and repository.status:
            self.refuse(repository.status)
        elif token and not known:
            self.refuse(401, None, "Invalid credentials in Authorization header")
        elif repository is None or (repository.private and not known):
            self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        elif repository.gated and files:
            message = f"Access to model {repo} is restricted. You must have access to it and be authenticated."
            self.refuse(403 if known else 401, "GatedRepo", message)
        else:
            return repository
        return None

    def store(self, repo: str, file: str) -> None:
        """The bytes of a weight file, from where the client wants to go on, with all that may happen to them."""
        repository = self.server.repositories[repo]
        data = repository.read(file)
        start = repository.ranges * int((re.findall(r"bytes=(\d+)", self.headers.get("Range", "")) or [0])[0])
        sent = (data if repository.sends is None else repository.sends)[start:]
        cut = repository.cuts.pop(0) if repository.cuts else None
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(sent)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        for position in range(0, len(sent[:cut]), _CHUNK):
            self.wfile.write(sent[:cut][position : position + _CHUNK])
            self.wfile.flush()
            time.sleep(repository.pause)
        self.close_connection = self.close_connection or cut is not None

    def refuse(
        self, status: int, code: str | None = None, message: str = "", more: dict[str, str] | None = None
    ) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        body = json.dumps({"error": message or f"Error {status}"}).encode()
        self.send(status, body, {name: value for name, value in headers.items() if value} | (more or {}))

    def send_json(self, content: Any) -> None:
        self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def is_large(name: str) -> bool:
    """Whether the Hub keeps this file as LFS does, known by its SHA-256."""
    return name.endswith(".safetensors")


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """A Hub that lives as long as the block."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
