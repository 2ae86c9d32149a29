"""The control API: one router a resource, behind one gate. Started by the composition root."""

from __future__ import annotations

from fastapi import FastAPI

from gristmill.control.api import (
    books,
    budgets,
    costing,
    datasets,
    endpoints,
    forecast,
    inputs,
    keys,
    models,
    reports,
    runs,
    runtimes,
    status,
    tenants,
    uploads,
)
from gristmill.control.api.answers import Json
from gristmill.control.api.description import KEYS, REFUSALS, operation_id
from gristmill.control.api.failures import HANDLERS
from gristmill.control.api.gate import Gate
from gristmill.control.platform import Platform

ROOT = "/api/v1"
RESOURCES = (
    status, uploads, datasets, runs, models, endpoints, runtimes, keys, tenants, books, inputs, costing, budgets,
    reports, forecast,
)  # fmt: skip


def create_app(platform: Platform) -> FastAPI:
    """The ASGI application of `platform`."""
    app = FastAPI(
        title="Gristmill control API",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,  # Swagger's page loads scripts from elsewhere
        redoc_url=None,
        default_response_class=Json,
        exception_handlers=HANDLERS,
        generate_unique_id_function=operation_id,
    )
    app.state.platform = platform
    for resource in RESOURCES:
        name = resource.__name__.rpartition(".")[2]
        app.include_router(resource.router, prefix=ROOT, tags=[name], responses=REFUSALS, dependencies=KEYS)
    app.add_middleware(Gate, platform=platform)
    return app
