"""Where gateways lease slices of hard budgets: one Unix socket, a thread for each gateway that talks on it."""

from __future__ import annotations

import contextlib
import logging
import os
import socketserver
import threading
from typing import cast

import msgspec

from gristmill.books import leases
from gristmill.control.platform import Platform
from gristmill.core import frames
from gristmill.core.errors import GristmillError
from gristmill.core.faults import fault_point
from gristmill.core.leases import Granted, Lease

logger = logging.getLogger(__name__)
_decode = msgspec.msgpack.Decoder(Lease).decode
_before_grant = fault_point("leases.before-grant")
_after_grant = fault_point("leases.after-grant")


class Leases:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        with contextlib.suppress(FileNotFoundError):
            os.unlink(platform.settings.leases_socket)
        self._server = _Server(str(platform.settings.leases_socket), _Conversation)
        os.chmod(platform.settings.leases_socket, 0o600)
        self._server.leases = self

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True, name="leases").start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def grant(self, lease: Lease) -> Granted:
        """On file when it returns."""
        platform = self._platform
        _before_grant()
        with platform.database.write() as connection:
            granted = leases.grant(connection, lease, platform.settings.gateways, platform.clock.now())
        _after_grant()
        return granted

    def abandoned(self, gateway: str, alive: bool) -> list[str]:
        """Ask before its journal is posted, `settle` after it: nothing of them comes any more."""
        with self._platform.database.read() as connection:
            return leases.abandoned(connection, gateway, alive)

    def settle(self, ids: list[str]) -> None:
        if not ids:
            return
        with self._platform.database.write() as connection:
            micro = leases.settle(connection, ids, self._platform.clock.now())
        if micro:
            logger.warning("a gateway died with %d micro-units of hard budgets open: they are unsettled", micro)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    leases: Leases


class _Conversation(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = cast(_Server, self.server)
        try:
            while True:
                header, _ = frames.receive(self.request)
                frames.send(self.request, server.leases.grant(_decode(header)))
        except (OSError, EOFError):
            pass  # the gateway ended, or takes up another connection
        except (GristmillError, msgspec.DecodeError):
            logger.exception("the socket of leases was sent what is no message")
        except Exception:  # of the database: the gateway asks again on another connection
            logger.exception("a lease could not be granted")
