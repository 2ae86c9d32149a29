"""Tenants."""

from __future__ import annotations

from gristmill.client.calls import Call, Document, Documents, Steps
from gristmill.client.operation import D, Resource, operation


class Tenants(Resource[D]):
    @operation
    def create(self, tenant: str) -> Steps[Document]:
        reply = yield Call("POST", "/tenants", json={"tenant": tenant})
        return reply.document()

    @operation
    def list(self) -> Steps[Documents]:
        reply = yield Call("GET", "/tenants")
        return reply.documents()
