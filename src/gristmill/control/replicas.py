"""Replicas: each one's process is started, asked, restarted when it dies or hangs, and ended."""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path

import msgspec

from gristmill.control import pings, records
from gristmill.control.platform import Platform
from gristmill.control.replica_adapters import ReplicaAdapters
from gristmill.control.replica_periods import Periods
from gristmill.control.restarts import Starts
from gristmill.control.runtimes import installed
from gristmill.control.state import REPLICA_SOCKETS, Endpoint, Replica, replica_socket
from gristmill.control.unpacking import Unpacking
from gristmill.core.errors import CorruptBundle, GristmillError, NotFound
from gristmill.core.files import keep_newest, write_atomic
from gristmill.core.ids import new_id
from gristmill.core.supervision import Pong
from gristmill.core.types import ReplicaSpec, Resources
from gristmill.engines.protocol import Engine, ProcessSpec

logger = logging.getLogger(__name__)
MODULE = "gristmill.serving.worker"
_SILENT_S = 2.5  # a worker answers pings while it computes: silence is a stopped or spinning process
_LOADING_S = 180.0
_BUSY_S = 60.0  # a batch that computes longer hangs
_ENDED_KEPT = 16
_DEATHS = 5  # in a row without having been ready: the version does not load


class Replicas:
    def __init__(self, platform: Platform, engine: Engine) -> None:
        self._platform, self._engine = platform, engine
        self._heard: dict[str, pings.Heard[Pong]] = {}
        self._starts: dict[str, Starts] = defaultdict(Starts)
        self._periods = Periods(platform)
        self._unpacking = Unpacking(platform)
        self._adapters = ReplicaAdapters(self._unpacking)
        self._ready: set[str] = set()  # of the last look

    def add(self, endpoint: Endpoint) -> None:
        """One more replica of what the endpoint is to serve; the next step starts it."""
        target = endpoint.target
        row = {
            "id": new_id("rep"), "tenant": endpoint.tenant, "endpoint": endpoint.name, "model": target.model,
            "digest": target.digest, "state": "starting",
            "resources": {**msgspec.to_builtins(target.resources), "runtime": target.runtime},
            "restarts": 0, "created_at": self._platform.clock.now(), "ready_at": None, "ended_at": None, "booked": {},
            "error": None,
        }  # fmt: skip
        with self._platform.database.write() as connection:
            records.add_replica(connection, row)

    def drain(self, replica: Replica) -> None:
        """Take it off the routes; its process ends once the gateways have heard."""
        self._update(replica, state="draining")

    def step(self, pushed: bool) -> None:
        """Look after every living replica; `pushed`: the gateways know which ones drain."""
        with self._platform.database.read() as connection:
            live = records.live_replicas(connection)
            self._adapters.want(records.all_endpoints(connection))
        for replica in live:
            try:
                if replica.state == "draining":
                    self._end(replica, pushed)
                else:
                    self._keep(replica)
                    self._adapt(replica, pushed)
            except (CorruptBundle, NotFound) as error:
                self._fail(replica, error.message)
            except GristmillError as error:  # a full disk, a database that is away: it may be better soon
                logger.warning("replica %s is tried again: %s", replica.id, error.message)
        self._ready = {replica.id for replica in live if replica.state == "ready"}
        self._periods.step(live, {name: heard.answer for name, heard in self._heard.items()})
        self._forget({replica.id for replica in live})

    def calm(self) -> bool:
        """Whether all that were looked at live, are ready and answer."""
        return self._ready == self._heard.keys() and all(
            heard.answers() and self._engine.alive(str(self._platform.settings.replicas / replica))
            for replica, heard in self._heard.items()
        )

    def terminate(self) -> None:
        """At the platform's stop: every replica drains, none is started."""
        with self._platform.database.read() as connection:
            live = records.live_replicas(connection)
        for replica in live:
            if replica.state != "draining":
                self.drain(replica)

    def kill(self) -> None:
        """What has not drained in time."""
        with self._platform.database.read() as connection:
            for replica in records.live_replicas(connection):
                self._engine.kill(str(self._folder(replica)))

    def gone(self) -> bool:
        with self._platform.database.read() as connection:
            return not records.live_replicas(connection)

    def _keep(self, replica: Replica) -> None:
        folder = self._folder(replica)
        heard = self._heard.get(replica.id)
        if not self._engine.alive(str(folder)):
            self._restart(replica, folder)
        elif heard is None:
            self._heard[replica.id] = pings.worker(self._socket(replica), self._platform.wake)
        elif heard.silent_s() > _patience_s(heard.answer):
            self._kill(replica, "does not answer")
        elif heard.answer is not None and heard.silent_s() <= _SILENT_S:
            self._observe(replica, heard.answer)

    def _observe(self, replica: Replica, pong: Pong) -> None:
        if pong.state == "failed":
            self._fail(replica, pong.error or "The version did not load.")
        elif pong.state == "ready" and replica.state == "starting":
            self._starts[replica.id].forget()
            self._update(replica, state="ready", ready_at=replica.ready_at or self._platform.clock.now())
        elif pong.busy_s > _BUSY_S:
            self._kill(replica, f"has computed one batch for {pong.busy_s:.0f} s")

    def _adapt(self, replica: Replica, pushed: bool) -> None:
        """Note which adapters it has; tell it of a change, of one that goes once no gateway routes to it."""
        pong = self._answer(replica)
        if pong is None or pong.state != "ready":
            return
        if (pong.adapters, pong.refused) != (replica.adapters, replica.refused):
            told = {**replica.resources, "adapters": pong.adapters, "refused": pong.refused}
            self._update(replica, resources=told)
        self._adapters.bring(replica, pong, self._socket(replica), pushed)

    def _restart(self, replica: Replica, folder: Path) -> None:
        if replica.ready_at is None and (reason := _failure(folder)) is not None:
            self._fail(replica, reason)
            return
        starts = self._starts[replica.id]
        if replica.ready_at is None and starts.count >= _DEATHS:
            self._fail(
                replica, f"{replica.model} does not load: its process died {_DEATHS} times; "
                f"`gristmill endpoints logs {replica.endpoint}` shows what it wrote.",
            )  # fmt: skip
            return
        if not (starts.due() and self._adapters.unpacked(replica) and self._unpacking.done(replica.digest)):
            return
        starts.note()
        if replica.state == "ready" or starts.count > 1:
            self._periods.close(replica, self._answer(replica))
            self._update(replica, state="starting", restarts=replica.restarts + 1)
        if (heard := self._heard.get(replica.id)) is not None:
            heard.forget()
        self._start(replica, folder)

    def _start(self, replica: Replica, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        spec = ReplicaSpec(
            id=replica.id, tenant=replica.tenant, endpoint=replica.endpoint, model=replica.model, digest=replica.digest,
            bundle=str(self._unpacking.folder(replica.digest)), socket=self._socket(replica), resources=replica.granted,
            log_level=self._platform.settings.log_level, runtime=replica.runtime,
            trials=str(self._platform.settings.trials), environments=installed(self._platform.settings.runtimes),
            adapters=self._adapters.of(replica), served=replica.ready_at is not None,
        )  # fmt: skip
        write_atomic(folder / "replica.json", msgspec.json.encode(spec))
        (folder / "failure.json").unlink(missing_ok=True)
        granted = replica.granted
        threads = Resources(max(1.0, granted.cores), granted.memory_bytes, granted.gpus)
        self._engine.start(ProcessSpec(MODULE, (str(folder),), str(folder), threads))

    def _end(self, replica: Replica, pushed: bool) -> None:
        folder = str(self._folder(replica))
        if not self._engine.alive(folder):
            self._over(replica, "stopped")
            return
        heard = self._heard.get(replica.id)
        stuck = heard is not None and heard.silent_s() > self._platform.settings.drain_timeout_s
        if stuck:
            self._engine.kill(folder)
        elif pushed:
            self._engine.terminate(folder)

    def _kill(self, replica: Replica, why: str) -> None:
        logger.warning("replica %s of %s %s: killed", replica.id, replica.model, why)
        self._engine.kill(str(self._folder(replica)))

    def _fail(self, replica: Replica, reason: str) -> None:
        logger.error("replica %s of %s failed: %s", replica.id, replica.model, reason)
        self._engine.kill(str(self._folder(replica)))
        self._over(replica, "failed", reason)

    def _over(self, replica: Replica, state: str, error: str | None = None) -> None:
        self._periods.close(replica, self._answer(replica))
        self._update(replica, state=state, error=error, ended_at=self._platform.clock.now())
        self._tidy()

    def _answer(self, replica: Replica) -> Pong | None:
        heard = self._heard.get(replica.id)
        return None if heard is None else heard.answer

    def _update(self, replica: Replica, **values: object) -> None:
        with self._platform.database.write() as connection:
            records.update_replica(connection, replica.id, **values)
        self._platform.wake()

    def _tidy(self) -> None:
        """Logs of the replicas that ended last are kept, and bundles that may be served again; no socket."""
        settings = self._platform.settings
        with self._platform.database.read() as connection:
            live = records.live_replicas(connection)
        keep_newest(settings.replicas, {replica.id for replica in live}, _ENDED_KEPT)
        for left in set(settings.sockets.glob(REPLICA_SOCKETS)) - {Path(self._socket(replica)) for replica in live}:
            left.unlink(missing_ok=True)
        digests = {replica.digest for replica in live}
        digests |= {adapter.digest for replica in live for adapter in self._adapters.of(replica)}
        self._unpacking.tidy(digests, _ENDED_KEPT)

    def _forget(self, live: set[str]) -> None:
        for gone in self._heard.keys() - live:
            self._heard.pop(gone).stop()
        for gone in self._starts.keys() - live:
            del self._starts[gone]

    def _folder(self, replica: Replica) -> Path:
        return self._platform.settings.replicas / replica.id

    def _socket(self, replica: Replica) -> str:
        return replica_socket(str(self._platform.settings.sockets), replica.id)


def _patience_s(pong: Pong | None) -> float:
    """A framework that is being imported holds the interpreter for seconds on a busy machine: nothing hangs yet."""
    return _LOADING_S if pong is None or pong.state == "loading" else _SILENT_S


def _failure(folder: Path) -> str | None:
    """The sentence that a worker left behind when its version did not load."""
    try:
        document = msgspec.json.decode((folder / "failure.json").read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError):
        return None
    return str(document.get("message"))
