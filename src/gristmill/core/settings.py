"""Settings of the installation: `settings.toml` in the home folder, then `GRISTMILL_*` variables, then flags."""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gristmill.core.errors import Unprocessable
from gristmill.core.types import GrpcServer

# server processors have thermal design powers of 225 to 360 W for 32 to 64 cores (AMD EPYC 7003/9004 data sheets)
DEFAULT_WATTS_A_CORE = 7.0

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every field can be set as `GRISTMILL_<FIELD>`; a default serves one machine."""

    home: str
    database_url: str = ""  # default: SQLite in the home folder
    blobs: str = ""  # any fsspec URL; default: a folder in the home folder
    host: str = "127.0.0.1"
    inference_port: Port = 8000
    control_port: Port = 8001
    grpc_port: Port = 8002
    grpc_server: GrpcServer = "nghttp2"  # grpcio where it is not installed
    behind_proxy: bool = False  # a proxy in front ends TLS: allows binding beyond loopback
    gateways: Positive = 1
    engine: str = "local"
    cores: Positive = os.cpu_count() or 1  # granted to runs and replicas together
    memory_bytes: Positive = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    gpus: Annotated[int, Meta(ge=0)] = 0
    # of a busy core, where the processor has no energy counter: its thermal design power by its cores
    watts_a_core: Annotated[float, Meta(gt=0)] = DEFAULT_WATTS_A_CORE
    # of the building: all the electricity that it takes, over its machines'; what they take is told times this
    pue: Annotated[float, Meta(ge=1, le=10)] = 1.0
    currency: str = "USD"
    log_level: str = "INFO"
    max_body_bytes: Positive = 64 * 2**20
    client_idle_timeout_s: Annotated[float, Meta(gt=0)] = 10.0  # a client that stops sending in mid-request is closed
    default_deadline_ms: Positive = 30_000
    drain_timeout_s: Annotated[float, Meta(gt=0)] = 30.0
    journal_segment_bytes: Positive = 64 * 2**20
    journal_fsync: bool = False  # kill -9 loses nothing either way; True survives a power cut too
    responses_kept_days: Annotated[float, Meta(ge=0)] = 30.0  # of /v1/responses with `store`; 0: none is kept
    responses_bytes: Positive = 2 * 2**30  # beyond them the oldest responses go first
    ship_interval_s: Annotated[float, Meta(gt=0)] = 0.5
    reconcile_interval_s: Annotated[float, Meta(gt=0)] = 0.25
    booking_period_s: Annotated[float, Meta(gt=0)] = 60.0  # how often the books hear what a replica has used

    @property
    def home_path(self) -> Path:
        return Path(self.home)

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home_path / 'gristmill.db'}"

    @property
    def blobs_url(self) -> str:
        return self.blobs or (self.home_path / "blobs").as_uri()

    @property
    def runs(self) -> Path:
        return self.home_path / "runs"

    @property
    def replicas(self) -> Path:
        return self.home_path / "replicas"

    @property
    def gateways_folder(self) -> Path:
        return self.home_path / "gateways"

    @property
    def controller_folder(self) -> Path:
        return self.home_path / "controller"

    @property
    def journal(self) -> Path:
        return self.home_path / "journal"

    @property
    def kept(self) -> Path:
        """What gateways keep for a while: answers by Idempotency-Key, responses."""
        return self.home_path / "kept"

    @property
    def bundles(self) -> Path:
        """Bundles unpacked from the blobs, one folder a digest, for workers and runs to open."""
        return self.home_path / "bundles"

    @property
    def trials(self) -> Path:
        """What trials of engines found on this machine, one file a version."""
        return self.home_path / "trials"

    @property
    def runtimes(self) -> Path:
        """Python environments of runtimes that are installed apart, one folder a runtime."""
        return self.home_path / "runtimes"

    @property
    def routes_file(self) -> Path:
        return self.home_path / "routes.msgpack"

    @property
    def admin_key_file(self) -> Path:
        return self.home_path / "admin.key"

    @property
    def pepper_file(self) -> Path:
        return self.home_path / "pepper"

    @property
    def leases_socket(self) -> Path:
        return self.sockets / "leases.sock"

    @property
    def sockets(self) -> Path:
        """Folder of the Unix sockets: a socket's path may have 107 bytes, so a long home gets a short folder."""
        folder = self.home_path / "sockets"
        if len(str(folder)) <= 60:
            return folder
        return (
            Path(tempfile.gettempdir())
            / f"gristmill-{os.getuid()}-{hashlib.sha256(self.home.encode()).hexdigest()[:12]}"
        )


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get("GRISTMILL_HOME") or Path.home() / ".gristmill").absolute()


def load_settings(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from file, environment and flags (None in `flags` means not given). Raises Unprocessable."""
    home = Path(str((flags or {}).get("home") or default_home(environ))).absolute()
    values: dict[str, Any] = {"home": str(home)}
    file = home / "settings.toml"
    if file.exists():
        try:
            values |= tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError as error:
            raise Unprocessable(f"settings.toml in the home folder is not valid TOML: {error}.") from None
    fields = Settings.__struct_fields__
    values |= {
        field: environ[key] for field in fields if field != "home" and (key := f"GRISTMILL_{field.upper()}") in environ
    }
    values |= {key: value for key, value in (flags or {}).items() if value is not None and key != "home"}
    for name in values:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            raise Unprocessable(
                f"There is no setting {name!r}.{f' Did you mean {near[0]!r}?' if near else ''}", field=name
            )
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise Unprocessable(f"A setting is not valid: {error}.") from None
