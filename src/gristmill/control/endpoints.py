"""Endpoints: deploy, scale, roll back, delete, show. Each change is one transaction, first come first served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from gristmill.control import records, snapshots
from gristmill.control.access import Caller
from gristmill.control.adapter_states import documents
from gristmill.control.resources import capacity, check_possible, together
from gristmill.control.runtime_choice import described, wanted_runtime
from gristmill.control.state import Endpoint, Rollout, Target
from gristmill.control.text_figures import text_figures
from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.core.faults import fault_point
from gristmill.core.ids import check_name, new_id
from gristmill.core.routes import EndpointLimits
from gristmill.core.types import Resources, Strategy
from gristmill.registry import versions

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]
MOST_REPLICAS = 64
_before_change = fault_point("endpoints.before-change")
_after_change = fault_point("endpoints.after-change")


class ReplicaResources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`cores` of a replica are a reservation: replicas that wait for requests use none."""

    cores: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    memory_bytes: Annotated[int, msgspec.Meta(ge=2**26)] = 2 * 2**30
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0


class Deploy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    strategy: Strategy = Strategy.rolling
    replicas: int | str = 1
    resources: ReplicaResources = ReplicaResources()
    limits: EndpointLimits = EndpointLimits()
    generation: int | None = None
    runtime: str | None = None  # None: the version's own, and of a language model the fastest


def deploy(platform: Platform, by: Caller, name: str, request: Document) -> Document:
    """Of an endpoint that stands, replicas, resources and limits stay as they were where the request says nothing."""
    check_name(name, "endpoint")
    with platform.database.write() as connection:
        standing = records.endpoint(connection, by.tenant, name)
        try:
            wanted = msgspec.convert(_with_what_stands(request, standing), Deploy)
        except msgspec.ValidationError as error:
            raise Unprocessable(f"The deployment that is asked for is not valid: {error}.") from None
        least, most = read_replicas(wanted.replicas)
        version = versions.resolve(connection, by.tenant, wanted.version)
        if version.state == "retired":
            raise Conflict(f"{version.reference} is retired: deploy another version.")
        if version.manifest.is_adapter:
            raise Unprocessable(
                f"{version.reference} is an adapter: deploy {version.manifest.lineage.parent}, and add it to that with "
                "`gristmill endpoints adapters add`.", field="version",
            )  # fmt: skip
        target = Target(
            model=version.reference, digest=version.digest, task=version.task, replicas=least, most_replicas=most,
            resources=Resources(wanted.resources.cores, wanted.resources.memory_bytes, wanted.resources.gpus),
            limits=msgspec.to_builtins(wanted.limits), runtime=wanted_runtime(version, wanted.runtime),
            adapters=standing.target.adapters if standing and standing.target.digest == version.digest else (),
        )  # fmt: skip
        _check_room(platform, target)
        return _move(platform, connection, by, name, target, wanted.strategy, wanted.generation)


def _with_what_stands(request: Document, standing: Endpoint | None) -> Document:
    if standing is None:
        return request
    before = standing.target
    kept = {"resources": msgspec.to_builtins(before.resources), "limits": dict(before.limits)}
    said = {key: {**kept[key], **request[key]} for key in kept if isinstance(request.get(key), dict)}
    return {"replicas": f"{before.replicas}..{before.most_replicas}", **kept, **request, **said}


def rollback(platform: Platform, by: Caller, name: str) -> Document:
    with platform.database.write() as connection:
        found = get(connection, by.tenant, name)
        if found.former is None:
            raise Conflict(f"Endpoint {name!r} has served nothing else: there is nothing to go back to.")
        return _move(platform, connection, by, name, found.former, Strategy.rolling, None)


def scale(platform: Platform, by: Caller, name: str, replicas: int | str) -> Document:
    least, most = read_replicas(replicas)
    with platform.database.write() as connection:
        found = steady(connection, by.tenant, name)
        target = msgspec.structs.replace(found.target, replicas=least, most_replicas=most)
        _check_room(platform, target)
        number = found.generation + 1
        change(platform, connection, found, spec=msgspec.to_builtins(target), state="updating", generation=number)
        records.note(connection, by.tenant, platform.clock.now(), by.key, "endpoints.scale", name, replicas=least)
    platform.wake()
    return show(platform, by.tenant, name)


def delete(platform: Platform, by: Caller, name: str) -> Document:
    with platform.database.write() as connection:
        found = get(connection, by.tenant, name)
        change(platform, connection, found, state="deleting", generation=found.generation + 1)
        records.note(connection, by.tenant, platform.clock.now(), by.key, "endpoints.delete", name)
    platform.wake()
    return {"name": name, "state": "deleting"}


def show(platform: Platform, tenant: str, name: str) -> Document:
    with platform.database.read() as connection:
        found = get(connection, tenant, name)
        return {
            **_document(connection, found),
            "runtime": described(found.target, platform.settings.trials),
            "written": text_figures(connection, tenant, name, platform.clock.now()),
        }


def list_endpoints(platform: Platform, tenant: str) -> list[Document]:
    with platform.database.read() as connection:
        return [_document(connection, found) for found in records.all_endpoints(connection, tenant)]


def show_rollout(platform: Platform, tenant: str, rollout_id: str) -> Document:
    with platform.database.read() as connection:
        found = records.rollout(connection, tenant, rollout_id)
    if found is None:
        raise NotFound(f"There is no rollout {rollout_id!r}.")
    return found._asdict()


def read_replicas(replicas: int | str) -> tuple[int, int]:
    """`3` → (3, 3); `1..4` → (1, 4). Raises Unprocessable."""
    low, _, high = str(replicas).partition("..")
    if not low.isdecimal() or not (high or low).isdecimal():
        raise Unprocessable(f"{replicas!r} is no number of replicas: write 2, or 1..4.", field="replicas", got=replicas)
    least, most = int(low), int(high or low)
    if not 1 <= least <= most <= MOST_REPLICAS:
        raise Unprocessable(
            f"An endpoint has 1 to {MOST_REPLICAS} replicas, the least first: {replicas!r} is not that.",
            field="replicas", got=replicas,
        )  # fmt: skip
    return least, most


def _move(
    platform: Platform, connection: records.Connection, by: Caller, name: str, target: Target, strategy: Strategy,
    generation: int | None,
) -> Document:  # fmt: skip
    now = platform.clock.now()
    found = records.endpoint(connection, by.tenant, name)
    spec = msgspec.to_builtins(target)
    if found is None:
        row = {"tenant": by.tenant, "name": name, "generation": 1, "spec": spec, "state": "updating", "previous": None,
               "created_at": now, "changed_at": now}  # fmt: skip
        if not records.add_endpoint(connection, row):
            raise Conflict(f"Endpoint {name!r} was made by someone else just now: look at it before you move it.")
        number, former = 1, None
    else:
        steady(connection, by.tenant, name)
        if generation is not None and generation != found.generation:
            raise Conflict(f"Endpoint {name!r} is at generation {found.generation}, not {generation}: it was changed.")
        serves = any(one.routed for one in records.live_replicas(connection, by.tenant, name))
        if serves:
            _check_same_clients(connection, found, target)
        number, former = found.generation + 1, found.target.model if serves else None
        previous = found.spec if serves else None
        change(platform, connection, found, spec=spec, previous=previous, state="updating", generation=number)
    rollout = Rollout(new_id("rol"), by.tenant, name, str(strategy), "running", {"from": former, "to": target.model},
                      number, None, now, None)  # fmt: skip
    if not records.add_rollout(connection, rollout._asdict()):
        raise Conflict(f"Endpoint {name!r} is being moved by another rollout; wait until it has ended.")
    records.note(connection, by.tenant, now, by.key, "endpoints.deploy", name, to=target.model, strategy=str(strategy))
    changed = get(connection, by.tenant, name)
    platform.wake()
    return {"endpoint": _document(connection, changed), "rollout": rollout._asdict()}


def _check_same_clients(connection: records.Connection, found: Endpoint, target: Target) -> None:
    """Clients call an endpoint, whatever serves it: what they send and get must stay the same."""
    before = versions.resolve(connection, found.tenant, found.target.model).manifest.signature
    after = versions.resolve(connection, found.tenant, target.model).manifest.signature
    faces = [(one.task, one.inputs, one.outputs, one.labels) for one in (before, after)]
    if faces[0] != faces[1]:
        raise Unprocessable(
            f"{target.model} takes or gives something else than {found.target.model}, which endpoint {found.name!r} "
            "serves: deploy it to an endpoint of its own.",
            field="version",
        )


def _check_room(platform: Platform, target: Target) -> None:
    """Memory and GPUs must suffice for the replicas by themselves; cores are shared: those of one must be there."""
    wanted = together([target.resources] * target.replicas)
    total = capacity(platform.settings)
    check_possible(Resources(target.resources.cores, wanted.memory_bytes, wanted.gpus), total)


def change(platform: Platform, connection: records.Connection, found: Endpoint, **values: Any) -> None:
    _before_change()
    if not records.change_endpoint(connection, found, changed_at=platform.clock.now(), **values):
        raise Conflict(f"Endpoint {found.name!r} was changed by someone else just now: look at it and try again.")
    _after_change()


def get(connection: records.Connection, tenant: str, name: str) -> Endpoint:
    found = records.endpoint(connection, tenant, name)
    if found is None:
        raise NotFound(f"There is no endpoint {name!r}: `gristmill endpoints list` shows what there is.")
    return found


def steady(connection: records.Connection, tenant: str, name: str) -> Endpoint:
    found = get(connection, tenant, name)
    rollout = records.newest_rollout(connection, tenant, name)
    if found.state == "deleting":
        raise Conflict(f"Endpoint {name!r} is being deleted.")
    if rollout is not None and rollout.state == "running":
        raise Conflict(
            f"Endpoint {name!r} is being moved to {rollout.detail['to']} by rollout {rollout.id}: wait until it ends.",
            rollout=rollout.id,
        )
    return found


def _document(connection: records.Connection, found: Endpoint) -> Document:
    live = records.live_replicas(connection, found.tenant, found.name)
    rollout = records.newest_rollout(connection, found.tenant, found.name)
    shares = snapshots.weights(found, [one for one in live if one.routed], rollout)
    state = "starting" if found.state == "ready" and not shares else found.state  # the platform came up just now
    fields = ("id", "model", "state", "restarts", "created_at", "ready_at", "error")
    return {
        "name": found.name, "state": state, "generation": found.generation, "task": found.target.task,
        "target": found.spec,
        "versions": [{"model": model, "weight": weight} for model, weight in shares.items()],
        "adapters": documents(found.target, live),
        "replicas": [{field: getattr(one, field) for field in fields} for one in live],
        "rollout": None if rollout is None else rollout._asdict(),
        "created_at": found.created_at, "changed_at": found.changed_at,
    }  # fmt: skip
