"""The only paths that answer without a key: is the process there, may it be sent requests."""

from __future__ import annotations

from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.work import Reply

_READY = frozenset(("/readyz", "/v2/health/ready"))
PATHS = frozenset(("/healthz", "/v2/health/live", *_READY))


def reply(serving: Serving, path: str) -> Reply:
    """A draining gateway is alive but not ready."""
    if path not in _READY:
        return Reply(b'{"live":true}')
    return Reply(b'{"ready":false}', status=503) if serving.draining else Reply(b'{"ready":true}')
