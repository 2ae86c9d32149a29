"""The Python SDK. `with Client() as client: client.predict("digits", Path("seven.png"))`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

import httpx2

from gristmill.client.address import Address, find
from gristmill.client.calls import Call, Document, Item, Pause, Reply, Steps, Stream, T, event_of, failure, given
from gristmill.client.operation import SyncDriver
from gristmill.client.resources.books import Books
from gristmill.client.resources.datasets import Datasets
from gristmill.client.resources.endpoints import Endpoints
from gristmill.client.resources.forecasts import Forecasts
from gristmill.client.resources.inference import Inference
from gristmill.client.resources.keys import Keys
from gristmill.client.resources.models import Models
from gristmill.client.resources.platform import Platform
from gristmill.client.resources.runs import Runs
from gristmill.client.resources.runtimes import Runtimes
from gristmill.client.resources.tenants import Tenants
from gristmill.core.errors import DeadlineExceeded, GristmillError, Unprocessable

CHUNK_BYTES = 1 << 20


class Driver:
    """Performs calls over one pool of connections; may be shared by threads."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._http = httpx2.Client(timeout=httpx2.Timeout(60.0, connect=5.0), trust_env=False)

    def run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                step = given(steps, self._outcome(step))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def iterate(self, stream: Stream) -> Iterator[Document]:
        try:
            step = next(stream)
            while True:
                if isinstance(step, Item):
                    yield step.value
                    step = next(stream)
                else:
                    step = given(stream, self._outcome(step))
        except StopIteration:
            return

    def _outcome(self, step: Call | Pause | Item) -> Reply | GristmillError:
        try:
            return self._perform(step)
        except GristmillError as error:
            return error

    def _perform(self, step: Call | Pause | Item) -> Reply:
        if not isinstance(step, Call):
            time.sleep(step.seconds if isinstance(step, Pause) else 0)
            return Reply(200, {}, b"")
        with reaching(self.address, step):
            reply = self._send(step)
        if reply.status >= 400:
            raise failure(reply)
        return reply

    def _send(self, call: Call) -> Reply:
        request = self._http.build_request(call.method, self.address.url(call), **arguments(self.address, call))
        response = self._http.send(request, stream=True)
        try:
            if call.save_to is None or response.status_code >= 400:
                return Reply(response.status_code, response.headers, response.read())
            with call.save_to.open("wb") as file:
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    file.write(chunk)
            return Reply(response.status_code, response.headers, b"")
        finally:
            response.close()

    def events(self, call: Call) -> Iterator[Document]:
        request = self._http.build_request(call.method, self.address.url(call), **arguments(self.address, call))
        with reaching(self.address, call), closing(self._http.send(request, stream=True)) as response:
            if response.status_code >= 400:
                raise failure(Reply(response.status_code, response.headers, response.read()))
            for line in response.iter_lines():
                event = event_of(line)
                if event is not None:
                    yield event

    def close(self) -> None:
        self._http.close()


@contextmanager
def reaching(address: Address, call: Call) -> Iterator[None]:
    """What the HTTP library says of a platform that does not answer, in our own errors."""
    try:
        yield
    except httpx2.TimeoutException as error:
        if isinstance(error, httpx2.ConnectTimeout):
            raise address.silent(call) from error
        raise DeadlineExceeded(f"{call.method} {call.path} got no answer in {call.timeout_s:g} s.") from error
    except httpx2.TransportError as error:
        raise address.silent(call) from error


def arguments(address: Address, call: Call) -> dict[str, Any]:
    """A call as arguments of the HTTP library's request."""
    made: dict[str, Any] = {
        "headers": address.headers(call),
        "params": {name: value for name, value in call.params.items() if value is not None},
        "timeout": httpx2.Timeout(call.timeout_s, connect=5.0),
    }
    if call.json is not None:
        made["content"] = _json(call.json)
        made["headers"] = {"content-type": "application/json", **made["headers"]}
    elif call.content is not None:
        made["content"] = call.content if isinstance(call.content, bytes) else chunks(call.content)
    return made


def _json(document: Any) -> bytes:
    """Raises Unprocessable for a number that JSON does not know."""
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise Unprocessable("A number that is infinite or not a number cannot be sent: give a finite one.") from None


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(CHUNK_BYTES):
        yield data


class Client:
    """`url` and `key` default to GRISTMILL_URL and GRISTMILL_API_KEY, then to the home folder's platform."""

    def __init__(self, url: str | None = None, key: str | None = None, inference_url: str | None = None) -> None:
        self._driver = Driver(find(url, key, inference_url))
        driver: SyncDriver = self._driver
        self.platform = Platform(driver)
        self.datasets = Datasets(driver)
        self.runs = Runs(driver)
        self.models = Models(driver)
        self.endpoints = Endpoints(driver)
        self.keys = Keys(driver)
        self.runtimes = Runtimes(driver)
        self.tenants = Tenants(driver)
        self.books = Books(driver)
        self.forecasts = Forecasts(driver)
        inference = Inference(driver)
        self.predict, self.infer, self.explain = inference.predict, inference.infer, inference.explain
        self.chat = inference.chat

    def close(self) -> None:
        self._driver.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
