"""The words of Gristmill as frozen types. Only data: behaviour stands in the room that owns it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gristmill.core.generation import LanguageFacts


class Role(StrEnum):
    admin = "admin"  # everything, of every tenant
    developer = "developer"  # data, runs, models, endpoints, books of its tenant
    consumer = "consumer"  # calls endpoints of its tenant


class RunKind(StrEnum):
    train = "train"
    evaluate = "evaluate"
    optimize = "optimize"
    search = "search"
    explain = "explain"
    batch = "batch"
    import_ = "import"
    export = "export"


class RunState(StrEnum):
    queued = "queued"
    starting = "starting"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (RunState.succeeded, RunState.failed, RunState.cancelled)


class Strategy(StrEnum):
    rolling = "rolling"
    blue_green = "blue-green"


GrpcServer = Literal["nghttp2", "grpcio"]


class Basis(StrEnum):
    """How a figure is known."""

    measured = "measured"
    modelled = "modelled"
    assumed = "assumed"


# The Open Inference Protocol's dtypes as numpy writes them: little-endian. BYTES and BF16 have no equal there.
DTYPES = {
    "BOOL": "|b1", "UINT8": "|u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "|i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


# What a classifier itself gives: `logits`; `probabilities` where its softmax is inside; `probability`, that of the
# second class alone, where it ends in a sigmoid. Where a row may have several labels, each has its own: `independent`
# where their sigmoids are inside, `independent-logits` where they are not. A forecast's are `values`.
Scores = Literal["logits", "probabilities", "probability", "independent", "independent-logits", "values"]


class TensorSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One named tensor: `dtype` in the Open Inference Protocol's names, -1 in `shape` for a free dimension.

    The first dimension is the batch. `low` and `high` bound the values where the task does; NaN is refused unless
    `allow_nan`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    allow_nan: bool = False


class Signature(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a version takes and gives, in raw values, before preprocessing and after the task's own output step."""

    task: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...] | None = None  # class names in the order of the outputs' last dimension
    features: tuple[str, ...] | None = None  # names along the last dimension of a tabular input, or of a history
    target: str | None = None  # of a forecast the names of its series, with commas
    scores: Scores = "logits"
    language: LanguageFacts | None = None  # of a version that generates text
    longest: int | None = None  # tokens that a model of texts reads: what a text has beyond them is cut off


class Resources(msgspec.Struct, frozen=True):
    """What a run or replica is granted."""

    cores: float = 1.0
    memory_bytes: int = 2 * 2**30
    gpus: int = 0


class Measure(msgspec.Struct, frozen=True):
    """A measured, modelled or assumed quantity; `value` None when the counter is absent, which is not zero."""

    value: float | None
    unit: str
    basis: Basis
    source: str  # `getrusage`, `rapl`, `codecarbon: TDP model`, ...
    error: float | None = None  # relative half width of a 95 % band, where known


class ResourceUse(msgspec.Struct, frozen=True):
    """What one attempt of a run, or a stretch of a replica's life, has used so far."""

    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    energy: Measure  # joules
    gpu_s: float | None = None  # None: no counter, which is not zero

    @property
    def energy_a_cpu_s(self) -> float | None:
        """Joules a second of CPU time; None where no counter tells, which is not zero."""
        return None if self.energy.value is None or self.cpu_s <= 0 else self.energy.value / self.cpu_s


class UsageRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one request used. Its id is the request's own: posted twice, it counts once."""

    id: str
    tenant: str
    key: str
    endpoint: str
    model: str  # NAME@VERSION
    digest: str
    operation: str  # infer, explain
    status: int
    happened_at: float
    items: int  # rows of the batch dimension
    compute_us: int  # this request's share of its batches' time on the replica
    latency_us: int
    bytes_in: int
    bytes_out: int
    tokens: dict[str, int] = {}  # by class: prompt, cached, completion
    replica: str = ""
    cached: bool = False  # answered from the endpoint's cache: no replica computed it
    first_token_us: int | None = None  # of a generated text: from the request's arrival to its first token
    per_token_us: int | None = None  # mean from one token of it to the next; None: there were fewer than two
    energy_uj: int | None = None  # its share of what the replica's steps took, measured or modelled as in ResourceUse
    leases: tuple[str, ...] = ()  # of hard budgets, that its price was reserved from


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json` in a run's folder: all that the run's process needs; it opens no database and makes no HTTP call."""

    id: str
    tenant: str
    kind: RunKind
    attempt: int
    seed: int
    resources: Resources
    blobs_url: str
    recipe: dict[str, Any] | None = None  # train
    own_code: str | None = None  # train: the blob of the recipe's model code
    model: str | None = None  # the name that a train run's version gets
    dataset: DatasetRef | None = None
    base: VersionRef | None = None  # train: the version that the recipe starts from; import: what an adapter adapts
    version: VersionRef | None = None  # evaluate, explain: the subject
    against: VersionRef | None = None  # evaluate: the rival of the paired test
    imported: ImportRef | None = None  # import
    format: str | None = None  # export: the format that is asked for
    code: str = ""  # gristmill's version, for lineage
    checkpoint_every_s: float = 1.0  # at least: a trainer keeps saving below 2 % of its time


class DatasetRef(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version as a run sees it: `manifest` is data/versions' own description with its files' digests."""

    name: str
    version: int
    digest: str
    licence: str | None
    manifest: dict[str, Any]


class VersionRef(msgspec.Struct, frozen=True, kw_only=True):
    """A model version as a run sees it: its bundle stands unpacked in `folder`."""

    model: str
    version: int
    digest: str
    folder: str
    base: VersionRef | None = None  # of an adapter: what it adapts

    @property
    def reference(self) -> str:
        return f"{self.model}@{self.version}"


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What who imports a model says of it; what its file says itself need not be said."""

    name: str | None = None  # of the model; the file's own name where absent
    task: str | None = None  # `tensors` where absent: tensors in, tensors out
    inputs: tuple[TensorSpec, ...] = ()  # of a file that has no signature, or sizes that it leaves free
    labels: tuple[Annotated[str, Meta(min_length=1)], ...] | None = None  # class names in the order of the outputs
    architecture: str | None = None  # of weights alone
    mean: tuple[float, ...] | None = None  # of an image's channels, as fractions of 1
    std: tuple[Annotated[float, Meta(gt=0)], ...] | None = None
    base: str | None = None  # of a LoRA adapter: the version that it adapts
    licence: str | None = None
    scores: Literal["logits", "independent", "independent-logits"] | None = None  # where the outputs do not show it


class ImportRef(msgspec.Struct, frozen=True, kw_only=True):
    """What an import run reads: an uploaded file or packed folder, or a URI that it fetches."""

    source: str  # the file's or folder's name where it came from, or hf://org/name, mlflow://name/version
    told: Told
    upload: str | None = None  # path of the uploaded file
    packed: bool = False  # the upload is a tar of a folder


class RunEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of `events.jsonl`, appended by the run, read by the controller and by whoever watches."""

    at: float
    kind: str  # started, metric, progress, checkpoint, sample, heartbeat, message, ended
    attempt: int = 0
    step: int | None = None
    epoch: float | None = None
    values: dict[str, float] = {}  # metric: {"train/loss": 0.1}
    total_steps: int | None = None
    use: ResourceUse | None = None  # heartbeat: cumulative in this attempt
    message: str | None = None


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """`result.json`, written last and whole: its presence is what ends an attempt well."""

    state: RunState
    attempt: int
    use: ResourceUse
    metrics: dict[str, float] = {}
    report: dict[str, Any] = {}  # evaluation: metrics with intervals, slices, paired test
    bundle_digest: str | None = None  # train: the bundle stands in `bundle/` of the run's folder
    error: str | None = None


class AdapterRef(msgspec.Struct, frozen=True):
    """A LoRA adapter on a language model that serves; clients call it ENDPOINT:NAME."""

    name: str
    model: str  # NAME@VERSION
    digest: str
    folder: str = ""  # of its unpacked bundle, for the worker that loads it


class ReplicaSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`replica.json` in a replica's folder: all that a worker needs."""

    id: str
    tenant: str
    endpoint: str
    model: str  # NAME@VERSION
    digest: str
    bundle: str  # folder
    socket: str
    resources: Resources
    log_level: str = "INFO"
    runtime: str | None = None  # None: the manifest's own; `auto`: the fastest of a trial
    trials: str = ""  # folder of what trials found, for all replicas of this machine
    served: bool = False  # it has been ready: it is to come back soon, with the engine that it had
    environments: dict[str, str] = {}  # by runtime that is installed apart: its Python
    adapters: tuple[AdapterRef, ...] = ()  # to load before it is ready


class GatewaySpec(msgspec.Struct, frozen=True, kw_only=True):
    """`gateway.json` in a gateway's folder."""

    id: str
    host: str
    port: int
    grpc_port: int = 0  # 0: no gRPC
    grpc_server: GrpcServer = "nghttp2"
    reuse_port: bool
    control_socket: str
    routes_file: str
    pepper_file: str
    journal: str  # folder of this gateway's own segments
    journal_segment_bytes: int
    journal_fsync: bool
    max_body_bytes: int
    client_idle_timeout_s: float
    default_deadline_ms: int
    drain_timeout_s: float
    kept: str  # folder of what the gateways of this machine keep for a while: answers by Idempotency-Key, responses
    responses_kept_days: float = 30.0  # 0: none is kept
    responses_bytes: int = 2 * 2**30
    leases_socket: str = ""  # of the controller: where slices of hard budgets are leased
    log_level: str = "INFO"
