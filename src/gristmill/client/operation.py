"""One description of an operation, two renderings: a plain call on the sync client, an awaitable on the async one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from gristmill.client.calls import Call, Document, Steps, Stream

P = ParamSpec("P")
T = TypeVar("T")


class SyncDriver(Protocol):
    """Performs calls and waits for them."""

    def run(self, steps: Steps[T]) -> T: ...

    def iterate(self, stream: Stream) -> Iterator[Document]: ...

    def events(self, call: Call) -> Iterator[Document]: ...


class AsyncDriver(Protocol):
    """Performs calls and awaits them."""

    async def run(self, steps: Steps[T]) -> T: ...

    def iterate(self, stream: Stream) -> AsyncIterator[Document]: ...

    def events(self, call: Call) -> AsyncIterator[Document]: ...


D = TypeVar("D", SyncDriver, AsyncDriver)


class Resource(Generic[D]):
    """A group of operations over one driver."""

    def __init__(self, driver: D) -> None:
        self.driver: D = driver


class operation(Generic[P, T]):  # noqa: N801  a decorator
    """Makes a method that yields calls into one that performs them."""

    def __init__(self, steps: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, instance: Resource[SyncDriver], owner: Any) -> Callable[P, T]: ...

    @overload
    def __get__(self, instance: Resource[AsyncDriver], owner: Any) -> Callable[P, Awaitable[T]]: ...

    def __get__(self, instance: Any, owner: Any) -> Any:
        def perform(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance.driver.run(self._steps(instance, *args, **kwargs))

        perform.__doc__ = self.__doc__
        return perform


class stream(Generic[P]):  # noqa: N801  a decorator
    """The same for what gives one thing after another."""

    def __init__(self, steps: Callable[Concatenate[Any, P], Stream]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, instance: Resource[SyncDriver], owner: Any) -> Callable[P, Iterator[Document]]: ...

    @overload
    def __get__(self, instance: Resource[AsyncDriver], owner: Any) -> Callable[P, AsyncIterator[Document]]: ...

    def __get__(self, instance: Any, owner: Any) -> Any:
        def perform(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance.driver.iterate(self._steps(instance, *args, **kwargs))

        perform.__doc__ = self.__doc__
        return perform


class events(Generic[P]):  # noqa: N801  a decorator
    """The same for one call that is answered by server-sent events."""

    def __init__(self, call: Callable[Concatenate[Any, P], Call]) -> None:
        self._call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, instance: Resource[SyncDriver], owner: Any) -> Callable[P, Iterator[Document]]: ...

    @overload
    def __get__(self, instance: Resource[AsyncDriver], owner: Any) -> Callable[P, AsyncIterator[Document]]: ...

    def __get__(self, instance: Any, owner: Any) -> Any:
        def perform(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance.driver.events(self._call(instance, *args, **kwargs))

        perform.__doc__ = self.__doc__
        return perform
