"""The gateway's control socket: Reload, Census and Ping from the controller."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

import msgspec

from gristmill.core import frames
from gristmill.core.errors import GristmillError
from gristmill.core.measurement import Meter
from gristmill.core.supervision import Census, Counted, Ping, Pong, Reload, Reloaded, Request
from gristmill.serving.gateway.serving import Serving

_log = logging.getLogger(__name__)
_decode = msgspec.msgpack.Decoder(Request).decode


class Control:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._meter = Meter()

    async def listen(self, path: str) -> asyncio.Server:
        """Take over the socket at `path`; a dead gateway may have left its file there."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        server = await asyncio.start_unix_server(self._converse, path)
        os.chmod(path, 0o600)
        return server

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                header, _ = await frames.read(reader)
                writer.writelines(frames.encode(await self._answer(_decode(header))))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (GristmillError, msgspec.DecodeError):
            _log.exception("the control socket was sent what is no message")
        finally:
            writer.close()

    async def _answer(self, message: Ping | Reload | Census) -> Reloaded | Counted | Pong:
        serving = self._serving
        if isinstance(message, Reload):
            return Reloaded(await self._reload(message.revision))
        if isinstance(message, Census):
            return Counted(serving.routes.revision, serving.in_flight(), serving.quarantined(), serving.grpc_port)
        state = "draining" if serving.draining else "ready"
        return Pong(state, 0.0, 0, 0.0, self._meter.read())

    async def _reload(self, revision: int) -> int:
        if self._serving.routes.revision >= revision:
            return self._serving.routes.revision
        try:
            return await self._serving.reload()
        except (OSError, msgspec.DecodeError):
            _log.exception("the routes file could not be read; the last snapshot stays")
            return self._serving.routes.revision
