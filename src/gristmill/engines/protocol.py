"""Where processes are placed. An engine knows commands and folders, never what the process does."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gristmill.core.types import Resources


class ProcessSpec(msgspec.Struct, frozen=True):
    """`folder` belongs to this process: its `lock`, `process.json` and `log.txt` stand there."""

    module: str  # run as `python -m module *arguments`
    arguments: tuple[str, ...]
    folder: str
    resources: Resources
    environment: dict[str, str] = {}


class Engine(Protocol):
    """Registered in `gristmill.engines`. Holds no state that a folder does not hold: it can be made anew."""

    def start(self, spec: ProcessSpec) -> None:
        """Start the process in a session of its own, so that it outlives its parent. Starting twice starts one."""
        ...

    def alive(self, folder: str) -> bool: ...

    def exit_status(self, folder: str) -> int | None:
        """The ended process's status where this engine's own child left one; None otherwise."""
        ...

    def terminate(self, folder: str) -> None:
        """SIGTERM: the process may finish what is under way."""
        ...

    def kill(self, folder: str) -> None:
        """SIGKILL to the process and its descendants."""
        ...
