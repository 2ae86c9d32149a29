"""The platform as its doors see it: one object with the state and the operations of the control API.

Every operation checks, writes what is wanted in one transaction, wakes the controller and returns a JSON-able
document; the controller does the rest. All are safe to call from any thread. They raise core.errors.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from gristmill.control import access, adapters, endpoints, models, replica_logs, runs, runtimes
from gristmill.control.access import Caller
from gristmill.control.status import Observed
from gristmill.core.clock import Clock, SystemClock
from gristmill.core.settings import Settings
from gristmill.store.blobs import Blobs
from gristmill.store.database import Database

Document = dict[str, Any]


class Platform:
    """`database` and `blobs` are for the rooms that keep rows of their own (data, registry, books)."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.database = Database(settings.database)
        self.blobs = Blobs(settings.blobs_url)
        self.pepper = access.read_pepper(settings.pepper_file)
        self.observed = Observed()  # what the controller last saw of the processes
        self.woken = threading.Event()
        self.stopping = threading.Event()

    def wake(self) -> None:
        """Let the controller look at once; call it after a change of what is wanted."""
        self.woken.set()

    def prepare(self) -> None:
        """Migrate the database, and at the first start make the tenant `default` and the admin key's file."""
        self.database.migrate()
        access.ensure_admin(self)

    # --- who: keys and tenants

    def authenticate(self, token: str) -> Caller:
        """Caller(key, tenant, role, scopes). Raises Unauthenticated (no such form) or Forbidden (unknown, revoked)."""
        return access.authenticate(self, token)

    def create_key(self, by: Caller, request: Document) -> Document:
        """{name, role, scopes?: [endpoint], limits?: {requests_per_minute?, max_parallel?}, expires_at?: epoch seconds
        or RFC 3339, tenant?} → the key's document with `token`, shown this once. Only an admin names another tenant
        or the role admin (Forbidden)."""
        return access.create_key(self, by, request)

    def keys(self, tenant: str | None) -> list[Document]:
        """The tenant's keys without secrets; None: of every tenant."""
        return access.list_keys(self, tenant)

    def revoke_key(self, by: Caller, key: str) -> Document:
        """Pushed to the gateways at once. An admin revokes any tenant's. Raises NotFound."""
        return access.revoke_key(self, by, key)

    def create_tenant(self, by: Caller, tenant: str) -> Document:
        """Raises Conflict when it exists."""
        return access.create_tenant(self, by, tenant)

    def tenants(self) -> list[Document]:
        return access.list_tenants(self)

    # --- runs

    def submit_run(self, by: Caller, request: Document) -> Document:
        """{kind:"train", recipe:{}, priority?} or {kind:"evaluate", version:"digits@2", dataset:"digits@1", against?,
        priority?, resources?} → the queued run. Raises Unprocessable, NotFound."""
        return runs.submit(self, by, request)

    def run(self, tenant: str, run_id: str) -> Document:
        """Raises NotFound."""
        return runs.show(self, tenant, run_id)

    def runs(self, tenant: str, limit: int = 200) -> list[Document]:
        """Newest first."""
        return runs.list_runs(self, tenant, limit)

    def cancel_run(self, by: Caller, run_id: str) -> Document:
        """It saves a checkpoint first. Raises NotFound; Conflict when it has ended."""
        return runs.cancel(self, by, run_id)

    def resume_run(self, by: Caller, run_id: str) -> Document:
        """Queue a failed or cancelled run again, from its checkpoint. Raises NotFound, Conflict."""
        return runs.resume(self, by, run_id)

    def run_events(self, tenant: str, run_id: str, after: int = 0) -> Document:
        """{events: [...], next: byte offset, state}: whole lines of events.jsonl from `after` on. Does not wait."""
        return runs.events(self, tenant, run_id, after)

    def run_logs(self, tenant: str, run_id: str, after: int = 0, lines: int | None = None) -> Document:
        """{text, next: byte offset, ended} from `after` on, or the last `lines` lines."""
        return runs.logs(self, tenant, run_id, after, lines)

    def exported(self, tenant: str, run_id: str) -> Path:
        """The bundle's folder. Raises NotFound."""
        return runs.exported(self, tenant, run_id)

    # --- models (reading and aliases: registry.versions and registry.aliases on `database`)

    def verify_version(self, tenant: str, model: str, version: int) -> Document:
        """Read every stored file against its digest. Raises NotFound, CorruptBundle naming the file. Slow."""
        return models.verify(self, tenant, model, version)

    def retire_version(self, by: Caller, model: str, version: int) -> Document:
        """Write off what is left of it; it stays in history. Raises NotFound; Conflict when an endpoint serves it."""
        return models.retire(self, by, model, version)

    # --- endpoints

    def deploy(self, by: Caller, endpoint: str, request: Document) -> Document:
        """{version, strategy?: rolling|blue-green, replicas?: 1 or "1..4", resources?: {cores, memory, gpus},
        limits?: {max_queue, max_batch_rows, batch_wait_ms, deadline_ms, cache_bytes}, generation?, runtime?} →
        {endpoint, rollout}.

        Raises Conflict naming the rollout under way, or when `generation` is given and no longer the endpoint's.
        """
        return endpoints.deploy(self, by, endpoint, request)

    def endpoint(self, tenant: str, name: str) -> Document:
        """State, versions with weights, replicas, newest rollout. Raises NotFound."""
        return endpoints.show(self, tenant, name)

    def endpoints(self, tenant: str) -> list[Document]:
        return endpoints.list_endpoints(self, tenant)

    def replicas(self, tenant: str, endpoint: str) -> list[Document]:
        """Those that live and those that ended whose log is still there, newest first. Raises NotFound."""
        return replica_logs.list_replicas(self, tenant, endpoint)

    def replica(self, tenant: str, endpoint: str, replica: str) -> Document:
        """Raises NotFound."""
        return replica_logs.show(self, tenant, endpoint, replica)

    def replica_logs(
        self, tenant: str, endpoint: str, replica: str, after: int = 0, lines: int | None = None
    ) -> Document:
        """As of runs. Raises NotFound."""
        return replica_logs.logs(self, tenant, endpoint, replica, after, lines)

    def rollback(self, by: Caller, endpoint: str) -> Document:
        """Deploy what it served before → {endpoint, rollout}. Raises NotFound, Conflict."""
        return endpoints.rollback(self, by, endpoint)

    def scale(self, by: Caller, endpoint: str, replicas: int | str) -> Document:
        """→ the endpoint's document. Raises NotFound, Conflict, Unprocessable."""
        return endpoints.scale(self, by, endpoint, replicas)

    def delete_endpoint(self, by: Caller, endpoint: str) -> Document:
        """Requests under way are answered first → {name, state: "deleting"}. Raises NotFound."""
        return endpoints.delete(self, by, endpoint)

    def add_adapter(self, by: Caller, endpoint: str, request: Document) -> Document:
        """{version, name?} → {name, version, state, error}. Raises NotFound, Conflict, Unprocessable."""
        return adapters.add(self, by, endpoint, request)

    def adapters(self, tenant: str, endpoint: str) -> list[Document]:
        """Raises NotFound."""
        return adapters.list_adapters(self, tenant, endpoint)

    def adapter(self, tenant: str, endpoint: str, name: str) -> Document:
        """Raises NotFound."""
        return adapters.show(self, tenant, endpoint, name)

    def remove_adapter(self, by: Caller, endpoint: str, name: str) -> Document:
        """Texts under way are finished with it. Raises NotFound, Conflict."""
        return adapters.remove(self, by, endpoint, name)

    def rollout(self, tenant: str, rollout_id: str) -> Document:
        """Raises NotFound."""
        return endpoints.show_rollout(self, tenant, rollout_id)

    # --- runtimes

    def runtimes(self) -> list[Document]:
        """{name, state: here|absent|installing|installed|failed, python, error}."""
        return runtimes.list_runtimes(self)

    def install_runtime(self, by: Caller, name: str) -> Document:
        """Begin to make an environment of its own for it. Raises NotFound, Conflict."""
        return runtimes.install(self, by, name)

    # --- the whole

    def status(self) -> Document:
        """{version, state: starting|ready|stopping, inference_url, grpc_address, control_url, gateways, runs,
        endpoints, resources, journal}."""
        return self.observed.document(self.settings, self.database)

    def stop(self) -> Document:
        """Drain gateways, end replicas, let runs save a checkpoint, ship the last of the books. Returns at once."""
        self.stopping.set()
        self.wake()
        return {"state": "stopping"}
