"""What a dialect is: paths that real clients already speak, answered in their own shapes."""

from __future__ import annotations

from typing import Protocol

from gristmill.core.errors import GristmillError
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, StreamedAnswer


class Dialect(Protocol):
    """Registered in `gristmill.dialects`. Made once a gateway with no arguments; stateless."""

    segments: tuple[str, ...]  # the first segments of its paths: "v2" for /v2/..., or the first two: "v1/chat"

    async def answer(self, request: Request) -> Answer | StreamedAnswer:
        """Answer a request whose caller is known. Raises GristmillError, which `error` then renders."""
        ...

    def error(self, error: GristmillError, path: str) -> bytes:
        """The dialect's own error object as JSON, in answer to a request at `path`."""
        ...
