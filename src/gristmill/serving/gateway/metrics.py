"""Counters on the hot path as plain integers; rendered in Prometheus' text format when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0)
PER_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        total = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {total}'
        yield f"{name}_sum{{{labels}}} {self.sum:.6f}"
        yield f"{name}_count{{{labels}}} {total}"


class PoolMetrics:
    """Of one version behind one endpoint."""

    def __init__(self) -> None:
        self.requests: dict[int, int] = {}  # by status
        self.latency = Histogram(LATENCY_S)
        self.batches = Histogram(BATCH_ROWS)
        self.first_token = Histogram(FIRST_TOKEN_S)
        self.per_token = Histogram(PER_TOKEN_S)
        self.shed = 0
        self.expired = 0
        self.retries = 0
        self.cache_hits = 0
        self.cache_misses = 0

    def request(self, status: int, seconds: float) -> None:
        self.requests[status] = self.requests.get(status, 0) + 1
        self.latency.observe(seconds)

    def text(self, first_token_s: float | None, per_token_s: float | None) -> None:
        """A generated text; None: there was none."""
        if first_token_s is not None:
            self.first_token.observe(first_token_s)
        if per_token_s is not None:
            self.per_token.observe(per_token_s)

    def batch(self, rows: int) -> None:
        self.batches.observe(rows)


class Observed(NamedTuple):
    """One pool as it stands."""

    tenant: str
    endpoint: str
    version: str
    metrics: PoolMetrics
    queue: int
    in_flight: int
    ready: int
    generates: bool


_HELP = {
    "gristmill_requests_total": ("counter", "Requests answered, by HTTP status."),
    "gristmill_shed_total": ("counter", "Requests refused at once: queue full, or their deadline could not be met."),
    "gristmill_expired_total": ("counter", "Requests whose deadline passed while they waited or computed."),
    "gristmill_retries_total": ("counter", "Requests sent again after their worker died."),
    "gristmill_cache_hits_total": ("counter", "Requests answered from the endpoint's cache."),
    "gristmill_cache_misses_total": ("counter", "Requests that the endpoint's cache had no answer for."),
    "gristmill_queue_depth": ("gauge", "Requests that wait for a replica."),
    "gristmill_in_flight": ("gauge", "Requests that wait or compute."),
    "gristmill_ready": ("gauge", "1 while at least one replica is ready."),
    "gristmill_request_seconds": ("histogram", "From arrival to answer."),
    "gristmill_batch_rows": ("histogram", "Rows a batch."),
    "gristmill_time_to_first_token_seconds": ("histogram", "Of generated texts: from arrival to the first token."),
    "gristmill_time_per_output_token_seconds": ("histogram", "Of generated texts: mean from one token to the next."),
}


def _histograms(pool: Observed) -> Iterator[tuple[str, Histogram]]:
    yield "gristmill_request_seconds", pool.metrics.latency
    if pool.generates:
        yield "gristmill_time_to_first_token_seconds", pool.metrics.first_token
        yield "gristmill_time_per_output_token_seconds", pool.metrics.per_token
    else:
        yield "gristmill_batch_rows", pool.metrics.batches


def render(pools: Iterable[Observed]) -> bytes:
    """Prometheus text exposition format 0.0.4."""
    lines: dict[str, list[str]] = {name: [] for name in _HELP}
    for pool in pools:
        labels = f'tenant="{pool.tenant}",endpoint="{pool.endpoint}",version="{pool.version}"'
        for status, count in sorted(pool.metrics.requests.items()):
            lines["gristmill_requests_total"].append(f'gristmill_requests_total{{{labels},code="{status}"}} {count}')
        plain = {
            "gristmill_shed_total": pool.metrics.shed,
            "gristmill_expired_total": pool.metrics.expired,
            "gristmill_retries_total": pool.metrics.retries,
            "gristmill_cache_hits_total": pool.metrics.cache_hits,
            "gristmill_cache_misses_total": pool.metrics.cache_misses,
            "gristmill_queue_depth": pool.queue,
            "gristmill_in_flight": pool.in_flight,
            "gristmill_ready": pool.ready,
        }
        for name, value in plain.items():
            lines[name].append(f"{name}{{{labels}}} {value}")
        for name, histogram in _histograms(pool):
            lines[name] += histogram.lines(name, labels)
    text = [
        line
        for name, (kind, says) in _HELP.items()
        for line in (f"# HELP {name} {says}", f"# TYPE {name} {kind}", *lines[name])
    ]
    return ("\n".join(text) + "\n").encode()
