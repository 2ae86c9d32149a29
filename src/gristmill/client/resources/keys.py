"""API keys."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.client.calls import Call, Document, Documents, Steps
from gristmill.client.operation import D, Resource, operation


class Keys(Resource[D]):
    @operation
    def create(
        self,
        *,
        name: str,
        role: str = "consumer",
        scopes: Sequence[str] | None = None,
        limits: Document | None = None,
        expires_at: float | str | None = None,
        tenant: str | None = None,
        project: str | None = None,
    ) -> Steps[Document]:
        """Make a key → its document with `token`, which is shown this once."""
        wanted = {"name": name, "role": role, "scopes": scopes, "limits": limits, "expires_at": expires_at}
        wanted |= {"tenant": tenant, "project": project}
        reply = yield Call("POST", "/keys", json={key: value for key, value in wanted.items() if value is not None})
        return reply.document()

    @operation
    def list(self) -> Steps[Documents]:
        reply = yield Call("GET", "/keys")
        return reply.documents()

    @operation
    def revoke(self, key: str) -> Steps[Document]:
        reply = yield Call("DELETE", f"/keys/{key}")
        return reply.document()
