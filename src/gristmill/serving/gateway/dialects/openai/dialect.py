"""OpenAI's paths for language models; `/v1/models` is answered with KServe's, whose path it shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gristmill.core.errors import GristmillError, Malformed, Unprocessable
from gristmill.serving.gateway.dialects.openai.chat import chat
from gristmill.serving.gateway.dialects.openai.completions import completions
from gristmill.serving.gateway.dialects.openai.embeddings import embeddings
from gristmill.serving.gateway.dialects.openai.errors import error_body
from gristmill.serving.gateway.dialects.openai.responses.paths import PATH as RESPONSES
from gristmill.serving.gateway.dialects.openai.responses.paths import responses
from gristmill.serving.gateway.dialects.openai.tokenize import tokenize
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, Header, StreamedAnswer

_READABLE = frozenset(("application/json",))
_RESOURCES: dict[str, Callable[[Request], Awaitable[Answer | StreamedAnswer]]] = {
    "/v1/chat/completions": chat,
    "/v1/completions": completions,
    "/v1/embeddings": embeddings,
    RESPONSES: responses,
    "/v1/tokenize": tokenize,
}


class OpenAI:
    segments = tuple(sorted({"/".join(path.split("/")[1:3]) for path in _RESOURCES}))

    async def answer(self, request: Request) -> Answer | StreamedAnswer:
        resource = _RESOURCES.get(request.path)
        if request.path.startswith(f"{RESPONSES}/"):
            resource = responses
        elif resource is None or request.method != "POST":
            raise request.nothing_here(f": POST to {', '.join(_RESOURCES)}")
        request.content_type(_READABLE)
        try:
            return _with_limits(await resource(request), request.limit_headers())
        except Unprocessable as error:  # OpenAI has no 422
            raise Malformed(error.message, **error.details) from error

    def error(self, error: GristmillError, path: str) -> bytes:
        return error_body(error)


def _with_limits(answer: Answer | StreamedAnswer, headers: tuple[Header, ...]) -> Answer | StreamedAnswer:
    if not headers:
        return answer
    if isinstance(answer, StreamedAnswer):
        return answer._replace(reply=answer.reply._replace(headers=(*answer.reply.headers, *headers)))
    return answer._replace(reply=answer.reply._replace(headers=(*answer.reply.headers, *headers)))
