"""A Hub on this machine that refuses everything, each repository in its own way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSALS = {
    "someone/gated": (403, "GatedRepo"),
    "someone/absent": (401, "RepoNotFound"),
    "someone/hollow": (404, "EntryNotFound"),
    "someone/forbidden": (403, None),
    "someone/broken": (500, None),
}


class Refusing(BaseHTTPRequestHandler):
    def do_HEAD(self):
        status, code = next(answer for name, answer in REFUSALS.items() if name in self.path)
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *arguments):
        """Nothing."""


@contextmanager
def refusing_hub() -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
