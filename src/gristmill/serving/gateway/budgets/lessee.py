"""The gateway's end of the controller's socket of leases."""

from __future__ import annotations

import asyncio

import msgspec

from gristmill.core import frames
from gristmill.core.errors import Malformed, Unavailable
from gristmill.core.leases import Granted, Lease

_ANSWERED_WITHIN_S = 2.0
_decode = msgspec.msgpack.Decoder(Granted).decode


class Lessee:
    """One question at a time, over one connection that is made anew when it breaks."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._turn = asyncio.Lock()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, lease: Lease) -> Granted:
        """Raises Unavailable when the controller does not answer."""
        async with self._turn:
            try:
                return await asyncio.wait_for(self._asked(lease), _ANSWERED_WITHIN_S)
            except (OSError, asyncio.IncompleteReadError, TimeoutError, Malformed, msgspec.DecodeError):
                self.close()
                raise Unavailable(
                    "What is left of a budget is not known while the controller does not answer: try again shortly.",
                    retry_after_s=1.0,
                ) from None

    async def _asked(self, lease: Lease) -> Granted:
        if self._stream is None:
            self._stream = await asyncio.open_unix_connection(self._path)
        reader, writer = self._stream
        writer.writelines(frames.encode(lease))
        await writer.drain()
        header, _ = await frames.read(reader)
        return _decode(header)

    def close(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None
