"""The Python SDK for asyncio: the same operations, awaited. `async with AsyncClient() as client: await ...`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import IO, Any

import httpx2

from gristmill.client.address import Address, find
from gristmill.client.calls import Call, Document, Item, Pause, Reply, Steps, Stream, T, event_of, failure, given
from gristmill.client.operation import AsyncDriver
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
from gristmill.client.sync import CHUNK_BYTES, arguments, reaching
from gristmill.core.errors import GristmillError


class Driver:
    """Performs calls over one pool of connections, on one event loop."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._http = httpx2.AsyncClient(timeout=httpx2.Timeout(60.0, connect=5.0), trust_env=False)

    async def run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                step = given(steps, await self._outcome(step))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def iterate(self, stream: Stream) -> AsyncIterator[Document]:
        try:
            step = next(stream)
            while True:
                if isinstance(step, Item):
                    yield step.value
                    step = next(stream)
                else:
                    step = given(stream, await self._outcome(step))
        except StopIteration:
            return

    async def _outcome(self, step: Call | Pause | Item) -> Reply | GristmillError:
        try:
            return await self._perform(step)
        except GristmillError as error:
            return error

    async def _perform(self, step: Call | Pause | Item) -> Reply:
        if not isinstance(step, Call):
            await asyncio.sleep(step.seconds if isinstance(step, Pause) else 0)
            return Reply(200, {}, b"")
        with reaching(self.address, step):
            reply = await self._send(step)
        if reply.status >= 400:
            raise failure(reply)
        return reply

    async def _send(self, call: Call) -> Reply:
        made = arguments(self.address, call)
        if call.content is not None and not isinstance(call.content, bytes):
            made["content"] = _chunks(call.content)
        request = self._http.build_request(call.method, self.address.url(call), **made)
        response = await self._http.send(request, stream=True)
        try:
            if call.save_to is None or response.status_code >= 400:
                return Reply(response.status_code, response.headers, await response.aread())
            with call.save_to.open("wb") as file:
                async for chunk in response.aiter_bytes(CHUNK_BYTES):
                    file.write(chunk)
            return Reply(response.status_code, response.headers, b"")
        finally:
            await response.aclose()

    async def events(self, call: Call) -> AsyncIterator[Document]:
        request = self._http.build_request(call.method, self.address.url(call), **arguments(self.address, call))
        with reaching(self.address, call):
            async with aclosing(await self._http.send(request, stream=True)) as response:
                if response.status_code >= 400:
                    raise failure(Reply(response.status_code, response.headers, await response.aread()))
                async for line in response.aiter_lines():
                    event = event_of(line)
                    if event is not None:
                        yield event

    async def close(self) -> None:
        await self._http.aclose()


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield data


class AsyncClient:
    """`url` and `key` default to GRISTMILL_URL and GRISTMILL_API_KEY, then to the home folder's platform."""

    def __init__(self, url: str | None = None, key: str | None = None, inference_url: str | None = None) -> None:
        self._driver = Driver(find(url, key, inference_url))
        driver: AsyncDriver = self._driver
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

    async def close(self) -> None:
        await self._driver.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()
