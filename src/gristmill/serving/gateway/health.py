"""The only paths that answer without a key: is the process there, may it be sent requests."""

from __future__ import annotations

from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.work import Reply

_LIVE = frozenset(("/healthz", "/v2/health/live"))
_READY = frozenset(("/readyz", "/v2/health/ready"))


def reply(serving: Serving, method: str, path: str) -> Reply | None:
    """None when `path` is not one of health's. A draining gateway is alive but not ready."""
    if (path not in _LIVE and path not in _READY) or method not in ("GET", "HEAD"):
        return None
    if path in _READY and serving.draining:
        return Reply(b'{"ready":false}', status=503)
    return Reply(b'{"live":true}' if path in _LIVE else b'{"ready":true}')
