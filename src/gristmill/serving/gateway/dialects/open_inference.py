"""Open Inference Protocol v2 over REST, with the binary tensor extension: `tritonclient`, `kserve`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from gristmill.core.errors import GristmillError, NotFound
from gristmill.core.routes import RouteVersion
from gristmill.serving.gateway.body import deflate
from gristmill.serving.gateway.dialects import descriptions
from gristmill.serving.gateway.dialects.explained_text import explained_text
from gristmill.serving.gateway.dialects.generated_tensors import generated_tensors
from gristmill.serving.gateway.dialects.infer_reply import InferReply, model_version
from gristmill.serving.gateway.dialects.infer_request import InferRequest, read_infer_request
from gristmill.serving.gateway.dialects.openai.answering import Target
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.routing import Share
from gristmill.serving.gateway.work import Answer, ExplainJob, PayloadJob, Render, Reply, Result

_READABLE = frozenset(("application/json", "application/octet-stream", "text/json"))
_MODEL = re.compile(
    r"/v2/models/(?P<name>.+?)(?:/versions/(?P<version>[^/]+))?(?:/(?P<what>infer|explain|ready|config|stats))?"
).fullmatch
_REPOSITORY = re.compile(r"/v2/repository/models/(?P<name>.+)/(?P<what>load|unload)").fullmatch


_ALL_STATS = "/v2/models/stats"
_DESCRIPTIONS = {None: descriptions.metadata, "config": descriptions.config}


class Asked(NamedTuple):
    """What a path under /v2/models asks for; `what` None is the metadata."""

    name: str
    version: str | None
    what: str | None


class OpenInference:
    segments = ("v2",)

    async def answer(self, request: Request) -> Answer:
        asked = model_path(request.path)
        if request.path == _ALL_STATS and request.method in ("GET", "HEAD"):
            return _counters(request)
        if asked is not None:
            if request.method == "POST" and asked.what == "infer":
                return await _infer(request, asked)
            if request.method == "POST" and asked.what == "explain":
                return await _explain(request, asked)
            if request.method in ("GET", "HEAD"):
                return _described(request, asked)
        elif request.path in ("/v2", "/v2/") and request.method in ("GET", "HEAD"):
            return _document(descriptions.SERVER)
        elif request.path == "/v2/repository/index" and request.method == "POST":
            return _document([entry for route in request.routes() for entry in descriptions.index(route)])
        elif (match := _REPOSITORY(request.path)) and request.method == "POST":
            return _repository(request, match["name"], match["what"])
        raise request.nothing_here()

    def error(self, error: GristmillError, path: str) -> bytes:
        return msgspec.json.encode({"error": error.message})


def model_path(path: str) -> Asked | None:
    """Model names may hold '/': the name is all that stands before a known ending."""
    if path.startswith("/v2/models/") and path.endswith("/infer") and path.count("/") == 4:
        return Asked(path[11:-6], None, "infer")  # the hot path, without the pattern
    match = _MODEL(path)
    return Asked(match["name"], match["version"], match["what"]) if match else None


async def _infer(request: Request, asked: Asked) -> Answer:
    request.content_type(_READABLE)
    share = _share(request, asked)
    if share.pool.signature.language is not None:
        adapter = asked.name.partition(":")[2]
        at = Target(asked.name, share, adapter or None, share.pool.signature.language)
        return await generated_tensors(request, at)
    read = read_infer_request(await request.body(), request.headers, share.fit)
    job, rows = share.fit.job(read.given)
    reply = InferReply(asked.name, read.id, read.outputs, read.binary)
    render: Render = reply.render
    accepted = request.headers.get(b"accept-encoding")
    if accepted is not None and _compresses(accepted):
        render = _compressed(render, accepted)
    return await request.call(share, job, rows, render, read.timeout_s)


def _share(request: Request, asked: Asked) -> Share:
    """Of `ENDPOINT` or `ENDPOINT:ADAPTER`."""
    name, _, adapter = asked.name.partition(":")
    return request.route(name).pick(asked.version, adapter or None)


def _compresses(accepted: bytes) -> bool:
    """Only clients that ask for one encoding mean it: browsers' and libraries' defaults list several."""
    return accepted.strip().lower() in (b"gzip", b"deflate")


def _compressed(render: Render, accepted: bytes) -> Render:
    def compressing(version: RouteVersion, result: Result) -> Reply:
        plain = render(version, result)
        body, encoding = deflate(plain.body, accepted.lower())
        headers = plain.headers if encoding is None else (*plain.headers, (b"content-encoding", encoding))
        return Reply(body, headers)

    return compressing


async def _explain(request: Request, asked: Asked) -> Answer:
    """The body of an infer request, or `{"inputs": ..., "parameters": ...}` in the task's own terms."""
    share = _share(request, asked)
    adapter = asked.name.partition(":")[2]
    if share.pool.signature.language is not None:
        result = await explained_text(request, share, adapter or None)
        version = share.pool.version
        return Answer(_explanation(asked.name, "")(version, result), version.model)
    content_type = request.content_type(frozenset((*_READABLE, "image/*", "text/plain")))
    body = await request.body()
    explain = _tensor_explanation(request, body, share.fit) if content_type not in _raw(content_type) else None
    request_id = ""
    if explain is not None:
        request_id = explain.id
        job, rows = share.fit.job(explain.given)
        work = ExplainJob(job, explain.parameters)
    else:
        work, rows = ExplainJob(PayloadJob(body, content_type), {}), 1
    return await request.call(share, work, rows, _explanation(asked.name, request_id))


def _raw(content_type: str | None) -> tuple[str, ...]:
    return (content_type,) if content_type and not content_type.endswith("json") else ()


def _tensor_explanation(request: Request, body: bytes, fit: Any) -> InferRequest | None:
    """None when `inputs` are not tensors but the task's own payload."""
    if b'"datatype"' not in body:
        return None
    return read_infer_request(body, request.headers, fit)


def _explanation(name: str, request_id: str) -> Render:
    def render(version: RouteVersion, result: Result) -> Reply:
        assert isinstance(result, bytes)
        head: dict[str, Any] = {"model_name": name, "model_version": model_version(version)}
        if request_id:
            head["id"] = request_id
        return Reply(msgspec.json.encode(head | {"explanations": msgspec.Raw(result)}))

    return render


def _document(value: Any) -> Answer:
    return Answer(Reply(msgspec.json.encode(value)), "")


def _described(request: Request, asked: Asked) -> Answer:
    route = request.route(asked.name)
    share = route.pick(asked.version)
    version = share.pool.version
    if asked.what == "ready":
        ready = share.pool.ready
        document = {"name": asked.name, "ready": ready}
        return Answer(Reply(msgspec.json.encode(document), status=200 if ready else 503), version.model)
    if asked.what == "stats":
        return _document(descriptions.stats(route, version if asked.version else None))
    describe = _DESCRIPTIONS.get(asked.what)
    if describe is None:
        raise NotFound(f"GET is not what /{asked.what} answers: POST to it.")
    return Answer(Reply(msgspec.json.encode(describe(route, version))), version.model)


def _counters(request: Request) -> Answer:
    """Of every model that the key may call."""
    told = [entry for route in request.routes() for entry in descriptions.stats(route)["model_stats"]]
    return _document({"model_stats": told})


def _repository(request: Request, name: str, what: str) -> Answer:
    request.route(name)
    return _document(descriptions.loaded(what))
