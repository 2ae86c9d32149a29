"""The whole: what is running, and stopping it."""

from __future__ import annotations

from gristmill.client.calls import Call, Document, Steps
from gristmill.client.operation import D, Resource, operation


class Platform(Resource[D]):
    @operation
    def status(self) -> Steps[Document]:
        """{version, state, inference_url, grpc_address, control_url, gateways, runs, endpoints, resources, journal}."""
        reply = yield Call("GET", "/status", timeout_s=10.0)
        return reply.document()

    @operation
    def stop(self) -> Steps[Document]:
        """Drain and end everything. Returns at once; admin keys only."""
        reply = yield Call("POST", "/stop", json={})
        return reply.document()
