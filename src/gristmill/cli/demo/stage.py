"""What the demo's steps share: the platform, the client, what was made so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from gristmill.client.sync import Client
from gristmill.core.settings import Settings

ENDPOINT = "digits"


@dataclass
class Stage:
    """One demo. Steps read it, add to it, and `tell` people what they see."""

    settings: Settings
    folder: Path  # data and pictures of the demo
    console: Console  # quiet under --json
    versions: dict[str, str] = field(default_factory=dict)  # recipe's file name → NAME@VERSION that it made
    facts: dict[str, Any] = field(default_factory=dict)  # what the summary and --json tell, by step

    @property
    def key(self) -> str:
        return self.settings.admin_key_file.read_text().strip()

    @property
    def inference_url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.inference_port}"

    def client(self) -> Client:
        """A client of its own for each thread that needs one."""
        return Client()

    def tell(self, *what: RenderableType) -> None:
        for line in what:
            self.console.print(line)
