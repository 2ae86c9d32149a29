"""The gateways: kept alive, and told of every change of routes and keys."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import NamedTuple

import msgspec

from gristmill.control import pings, snapshots
from gristmill.control.platform import Platform
from gristmill.control.restarts import Starts
from gristmill.core.files import write_atomic
from gristmill.core.routes import Snapshot, read_snapshot, write_snapshot
from gristmill.core.supervision import Counted, Reload, Reloaded, ask
from gristmill.core.types import GatewaySpec, Resources
from gristmill.engines.protocol import Engine, ProcessSpec

logger = logging.getLogger(__name__)
MODULE = "gristmill.serving.gateway"
_NAME = "gw"  # and its number
_HUNG_S = 3.0
_STARTING_S = 20.0


class _Ports(NamedTuple):
    """Shared by all gateways."""

    inference: int
    grpc: int


class Gateways:
    """All of them on one port; `pushed` is the revision that every living one routes by."""

    def __init__(self, platform: Platform, engine: Engine) -> None:
        self._platform, self._engine = platform, engine
        settings = platform.settings
        ports = _Ports(
            settings.inference_port or self._adopted("port") or _free_port(settings.host),
            settings.grpc_port or self._adopted("grpc_port") or _free_port(settings.host),
        )
        self.specs = [self._spec(f"{_NAME}{number}", ports) for number in range(settings.gateways)]
        self._heard: dict[str, pings.Heard[Counted]] = {}
        self._starts = {spec.id: Starts() for spec in self.specs}
        self._last = self._known()
        self.pushed = 0

    @property
    def url(self) -> str:
        return f"http://{self._platform.settings.host}:{self.specs[0].port}"

    @property
    def grpc_address(self) -> str | None:
        """As gRPC's clients take it, without a scheme; None where no gateway serves gRPC."""
        answers = [heard.answer for heard in self._heard.values() if heard.answer is not None]
        port = max((answer.grpc_port for answer in answers), default=0)
        return f"{self._platform.settings.host}:{port}" if port else None

    def push(self) -> bool:
        """Write the routes where they changed; True once every gateway that lives routes by them."""
        with self._platform.database.read() as connection:
            wanted = snapshots.snapshot(
                connection, str(self._platform.settings.sockets), len(self.specs), self._platform.clock.now()
            )
        if msgspec.structs.replace(wanted, revision=self._last.revision) != self._last:
            self._last = msgspec.structs.replace(wanted, revision=self._last.revision + 1)
            write_snapshot(self._platform.settings.routes_file, self._last)
        if self.pushed != self._last.revision and all(map(self._tell, self.specs)):
            self.pushed = self._last.revision
        return self.pushed == self._last.revision

    def step(self) -> None:
        """Start what is dead, kill what hangs."""
        for spec in self.specs:
            folder = str(self._folder(spec))
            heard = self._heard.get(spec.id)
            if not self._engine.alive(folder):
                self._start(spec, folder)
            elif heard is not None and heard.answer is not None and heard.silent_s() < _HUNG_S:
                self._starts[spec.id].forget()
            elif heard is None:
                self._heard[spec.id] = pings.gateway(spec.control_socket, self._platform.wake)
            elif heard.silent_s() > (_HUNG_S if heard.answer else _STARTING_S):
                logger.warning("gateway %s does not answer: killed", spec.id)
                self._engine.kill(folder)

    def calm(self) -> bool:
        """Whether all live and answer."""
        return len(self._heard) == len(self.specs) and all(
            heard.answers() and self.alive(gateway) for gateway, heard in self._heard.items()
        )

    def documents(self) -> list[dict[str, object]]:
        """For the status."""
        documents = []
        for spec in self.specs:
            heard = self._heard.get(spec.id)
            answer = heard.answer if heard and heard.silent_s() < _HUNG_S else None
            state = "starting" if answer is None else "ready"
            in_flight = sum(answer.in_flight.values()) if answer else 0
            documents.append({"id": spec.id, "state": state, "port": spec.port, "in_flight": in_flight,
                              "revision": answer.revision if answer else 0})  # fmt: skip
        return documents

    def alive(self, gateway: str) -> bool:
        return self._engine.alive(str(self._platform.settings.gateways_folder / gateway))

    def journals(self) -> list[tuple[str, Path]]:
        """Every gateway's journal, those of gateways that are no longer wanted too."""
        folder = self._platform.settings.journal
        return [(path.name, path) for path in sorted(folder.glob("*/"))]

    def terminate(self) -> None:
        for spec in self.specs:
            self._engine.terminate(str(self._folder(spec)))

    def kill(self) -> None:
        """What has not drained in time."""
        for spec in self.specs:
            self._engine.kill(str(self._folder(spec)))

    def gone(self) -> bool:
        return not any(self._engine.alive(str(self._folder(spec))) for spec in self.specs)

    def _start(self, spec: GatewaySpec, folder: str) -> None:
        """After a pause where it dies again and again before it answers."""
        starts = self._starts[spec.id]
        if not starts.due():
            return
        if starts.count > 1:
            logger.error("gateway %s died %d times before it answered: see %s/log.txt", spec.id, starts.count, folder)
        starts.note()
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_atomic(Path(folder) / "gateway.json", msgspec.json.encode(spec))
        if (heard := self._heard.get(spec.id)) is not None:
            heard.forget()
        self._engine.start(ProcessSpec(MODULE, (folder,), folder, Resources(cores=1.0)))

    def _tell(self, spec: GatewaySpec) -> bool:
        """True when it routes by the last snapshot, or is dead and will read it at its start."""
        if not self._engine.alive(str(self._folder(spec))):
            return True
        try:
            answer = ask(spec.control_socket, Reload(self._last.revision), Reloaded)
        except (OSError, EOFError):
            return False
        return answer.revision >= self._last.revision

    def _known(self) -> Snapshot:
        try:
            return read_snapshot(self._platform.settings.routes_file)
        except (OSError, msgspec.DecodeError):
            return Snapshot(0, (), ())

    def _folder(self, spec: GatewaySpec) -> Path:
        return self._platform.settings.gateways_folder / spec.id

    def _adopted(self, port: str) -> int:
        """What the first gateway was given when a free port was asked for: it may still listen there. 0 if unknown."""
        try:
            kept = (self._platform.settings.gateways_folder / f"{_NAME}0" / "gateway.json").read_bytes()
            return int(getattr(msgspec.json.decode(kept, type=GatewaySpec), port))
        except (OSError, msgspec.DecodeError):
            return 0

    def _spec(self, identifier: str, ports: _Ports) -> GatewaySpec:
        settings = self._platform.settings
        return GatewaySpec(
            id=identifier,
            host=settings.host,
            port=ports.inference,
            grpc_port=ports.grpc,
            grpc_server=settings.grpc_server,
            reuse_port=settings.gateways > 1,
            control_socket=str(settings.sockets / f"{identifier}.sock"),
            routes_file=str(settings.routes_file),
            pepper_file=str(settings.pepper_file),
            journal=str(settings.journal / identifier),
            journal_segment_bytes=settings.journal_segment_bytes,
            journal_fsync=settings.journal_fsync,
            max_body_bytes=settings.max_body_bytes,
            client_idle_timeout_s=settings.client_idle_timeout_s,
            default_deadline_ms=settings.default_deadline_ms,
            drain_timeout_s=settings.drain_timeout_s,
            kept=str(settings.kept),
            responses_kept_days=settings.responses_kept_days,
            responses_bytes=settings.responses_bytes,
            leases_socket=str(settings.leases_socket),
            log_level=settings.log_level,
        )


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])
