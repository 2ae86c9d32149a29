"""What every request to the control API passes: host, origin, key; and what every answer gets: a request id.

The Host list stops DNS rebinding, the Origin check stops other sites' pages from using a browser inside the network.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gristmill.control.access import Caller
from gristmill.control.api.answers import Json, refusal
from gristmill.control.platform import Platform
from gristmill.core.errors import Forbidden, GristmillError, Internal, Unauthenticated, UnsupportedMediaType
from gristmill.core.ids import new_id
from gristmill.core.log import request_id as logged_request_id

_log = logging.getLogger(__name__)
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
FREE = "/healthz"
RAW = "/uploads"  # the only route whose body is no JSON


class Misdirected(GristmillError):
    code, status = "misdirected", 421


class Gate:
    """ASGI middleware: answers refusals itself, and leaves the `caller` in the scope's state."""

    def __init__(self, app: ASGIApp, platform: Platform) -> None:
        self._app = app
        self._platform = platform
        self._hosts = _LOOPBACK | {platform.settings.host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        token = logged_request_id.set(request_id)
        answering = _Answering(send, request_id)
        try:
            await self._pass(scope, receive, answering, request_id)
        except Exception as error:  # a bug of ours: the sentence goes out, the traceback stays in the log
            _log.error("A request failed.", exc_info=error)
            if not answering.started:
                failed = Internal("The controller failed on this request: its log tells why, under the request id.")
                await refusal(failed, request_id)(scope, receive, answering)
        finally:
            logged_request_id.reset(token)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            if scope["path"] == FREE:
                await Json({"status": "ok"})(scope, receive, send)
                return
            if scope["method"] not in _SAFE:
                self._check_origin(headers)
                _check_type(scope["path"], headers)
            scope.setdefault("state", {})["request_id"] = request_id
            scope["state"]["caller"] = await self._caller(headers)
        except GristmillError as error:
            await refusal(error, request_id)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        host = urlsplit(f"//{headers.get('host', '')}").hostname
        if host not in self._hosts and not self._platform.settings.behind_proxy:
            raise Misdirected("This host name is not served here: call the address that `gristmill status` shows.")

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            raise Forbidden("Requests from pages of another origin are not taken.")

    async def _caller(self, headers: Headers) -> Caller:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
        if not given:
            raise Unauthenticated("No key came: send it as `Authorization: Bearer gm_...` or as `x-api-key`.")
        return await run_in_threadpool(self._platform.authenticate, given)


def _check_type(path: str, headers: Headers) -> None:
    if path.endswith(RAW) or not (headers.get("transfer-encoding") or headers.get("content-length", "0") != "0"):
        return
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMediaType(f"Content-Type {media!r} cannot be read here: send application/json.", got=media)


class _Answering:
    """`send` that adds the request id and remembers whether the answer has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            MutableHeaders(scope=message)["x-request-id"] = self._request_id
        await self._send(message)
