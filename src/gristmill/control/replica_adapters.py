"""Which adapters replicas are to have: their bundles are unpacked, and workers are told of what comes and goes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gristmill.control.state import Endpoint, Replica
from gristmill.control.unpacking import Unpacking
from gristmill.core.errors import CorruptBundle, NotFound
from gristmill.core.supervision import Adapt, Adapted, Pong, ask
from gristmill.core.types import AdapterRef

logger = logging.getLogger(__name__)


class ReplicaAdapters:
    def __init__(self, unpacking: Unpacking) -> None:
        self._unpacking = unpacking
        self._unreadable: set[str] = set()  # digests of those whose stored content is corrupt
        self._wanted: dict[tuple[str, str, str], tuple[AdapterRef, ...]] = {}  # by tenant, endpoint, digest

    def want(self, endpoints: Iterable[Endpoint]) -> None:
        self._wanted = {(one.tenant, one.name, one.target.digest): one.target.adapters for one in endpoints}

    def of(self, replica: Replica) -> tuple[AdapterRef, ...]:
        """What it is to have; an older version's replicas keep what they have until they go."""
        wanted = self._wanted.get((replica.tenant, replica.endpoint, replica.digest), ())
        return tuple(msgspec.structs.replace(one, folder=str(self._unpacking.folder(one.digest))) for one in wanted)

    def unpacked(self, replica: Replica) -> bool:
        """Whether all that can be is: of one whose stored content is corrupt, the worker says so, and serves on."""
        for adapter in self.of(replica):
            if not Path(adapter.folder).exists() and adapter.digest not in self._unreadable:
                try:
                    if not self._unpacking.done(adapter.digest):
                        return False
                except (CorruptBundle, NotFound) as error:
                    logger.error("the adapter %s is not unpacked: %s", adapter.model, error.message)
                    self._unreadable.add(adapter.digest)
        return True

    def bring(self, replica: Replica, pong: Pong, socket: str, pushed: bool) -> None:
        """Tell a worker of a change, of an adapter that goes once no gateway routes to it (`pushed`)."""
        wanted = self.of(replica)
        there = {**pong.adapters, **dict.fromkeys(pong.refused, "")}
        goes = any(name not in {one.name for one in wanted} for name in there)
        comes = any(there.get(one.name) not in (one.digest, "") for one in wanted)
        if (comes or (goes and pushed)) and self.unpacked(replica):
            try:
                ask(socket, Adapt(wanted), Adapted)
            except (OSError, EOFError) as error:
                logger.warning("replica %s was not told of its adapters: %s", replica.id, error)
