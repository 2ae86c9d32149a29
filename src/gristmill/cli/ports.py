"""Whether a port is free, or answers."""

from __future__ import annotations

import errno
import socket

from gristmill.core.errors import Conflict


def free(host: str, port: int) -> bool:
    """Whether `port` can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise Conflict(f"This machine has no address {host!r}: set GRISTMILL_HOST to one that it has.") from None
    return True


def check_free(host: str, port: int, setting: str) -> None:
    """Raises Conflict when `port` is taken."""
    if not free(host, port):
        raise Conflict(
            f"Port {port} on {host} is taken by another program: stop it, or choose another with "
            f"`gristmill up --{setting.replace('_', '-')} PORT`.",
            field=setting,
        )


def answers(host: str, port: int) -> bool:
    """Whether something listens on `port` of `host`."""
    try:
        with socket.create_connection((host, port), timeout=2.0):
            return True
    except OSError:
        return False


def unused() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
