"""A hub on this machine that speaks as much of the Hugging Face hub's HTTP as its client needs to fetch a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = hashlib.sha1(b"the only revision").hexdigest()


class Hub:
    """`models`: files by name of each ORG/NAME. `fetched`: the files that were asked for."""

    def __init__(self, models: Mapping[str, Mapping[str, bytes]]) -> None:
        self.models, self.fetched = models, list[str]()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, asked: BaseHTTPRequestHandler, body: bool) -> None:
        parts = asked.path.partition("?")[0].strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        revision = parts[5] if parts[:2] == ["api", "models"] and len(parts) > 5 else "main"
        files = self.models.get(name)
        if files is None:
            _reply(asked, 401, b"{}", body, {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            _reply(asked, 404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
        elif parts[4:5] == ["tree"]:
            tree = [{"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for file, content in files.items()]  # fmt: skip
            _reply(asked, 200, json.dumps(tree).encode(), body, {})
        elif parts[0] == "api":
            siblings = [{"rfilename": file} for file in files]
            _reply(asked, 200, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode(), body, {})
        else:
            file = "/".join(parts[4:])
            self.fetched.append(file)
            content = files[file]
            _reply(asked, 200, content, body, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"'})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _reply(asked: BaseHTTPRequestHandler, status: int, content: bytes, body: bool, headers: Mapping[str, str]) -> None:
    asked.send_response(status)
    for name, value in {"Content-Length": str(len(content)), "X-Repo-Commit": COMMIT, **headers}.items():
        asked.send_header(name, value)
    asked.end_headers()
    if body:
        asked.wfile.write(content)


@contextmanager
def hub_of(models: Mapping[str, Mapping[str, bytes]]) -> Iterator[Hub]:
    hub = Hub(models)
    try:
        yield hub
    finally:
        hub.close()
