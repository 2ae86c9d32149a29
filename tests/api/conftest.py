"""The control API of a real platform object over a real socket; no controller runs behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

from gristmill.bundles.manifest import Lineage, Manifest
from gristmill.client.sync import Client
from gristmill.control.access import FIRST_TENANT
from gristmill.control.api.app import create_app
from gristmill.control.platform import Platform
from gristmill.core.settings import load_settings
from gristmill.core.types import Signature
from gristmill.registry import versions
from tests.running import free_port


class Door(NamedTuple):
    platform: Platform
    url: str
    key: str

    def client(self, key: str | None = None) -> Client:
        return Client(url=self.url, key=key or self.key)


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home = tmp_path_factory.mktemp("api")
    port = free_port()
    settings = load_settings({"home": str(home), "control_port": port}, environ={})
    platform = Platform(settings)
    platform.prepare()
    server = uvicorn.Server(uvicorn.Config(create_app(platform), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Door(platform, f"http://127.0.0.1:{port}", settings.admin_key_file.read_text().strip())
    server.should_exit = True
    thread.join(10)


def registered(door: Door, model: str, number: int, at: float = 1.0) -> None:
    """A version that others made, as the registry holds it, without its bundle."""
    manifest = Manifest(
        name=model, task="tensors", framework="onnx", runtime="onnx", architecture={},
        signature=Signature("tensors", (), ()), files={}, parameters=1000, licence=None, created_at=at,
        lineage=Lineage(imported_from="elsewhere"),
    )  # fmt: skip
    with door.platform.database.write() as connection:
        versions.register(connection, FIRST_TENANT, manifest, f"sha256:{model}{number}", None, at)


@pytest.fixture(scope="session")
def consumer_key(door: Door) -> str:
    with door.client() as client:
        return str(client.keys.create(name="app", role="consumer")["token"])


@pytest.fixture
def small_csv(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    rows = [f"{i % 7},{i * 0.5},{'red' if i % 2 else 'white'}" for i in range(60)]
    path.write_text("\n".join(["a,b,colour", *rows]))
    return path
