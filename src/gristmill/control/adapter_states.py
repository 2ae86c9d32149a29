"""How far an endpoint's replicas are with its adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gristmill.control.state import Replica, Target
from gristmill.core.types import AdapterRef

Document = dict[str, Any]


def documents(target: Target, replicas: Sequence[Replica]) -> list[Document]:
    """{name, version, state: loading|ready|refused, error}."""
    serving = [one for one in replicas if one.routed and one.digest == target.digest]
    return [_document(one, serving) for one in target.adapters]


def routed_adapters(target: Target, digest: str, replicas: Sequence[Replica]) -> tuple[AdapterRef, ...]:
    """Those that all `replicas`, of the version with the digest, have."""
    wanted = target.adapters if target.digest == digest else ()
    return tuple(one for one in wanted if all(replica.adapters.get(one.name) == one.digest for replica in replicas))


def _document(adapter: AdapterRef, serving: Sequence[Replica]) -> Document:
    refused = next((one.refused[adapter.name] for one in serving if adapter.name in one.refused), None)
    has = [one.adapters.get(adapter.name) == adapter.digest for one in serving]
    state = "refused" if refused else "ready" if has and all(has) else "loading"
    return {"name": adapter.name, "version": adapter.model, "state": state, "error": refused}
