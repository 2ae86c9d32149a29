"""One tree of errors. Made where the fact is known; the doors translate `code`, `status` and the sentence."""

from __future__ import annotations

from typing import Any, ClassVar


class GristmillError(Exception):
    """Base of every error a user may see.

    `message` is one plain sentence: what is wrong, where, what to do. It carries no path of the server, address or
    traceback. `details` are JSON-able facts (`field`, `expected`, `got`).
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.details = details


class Malformed(GristmillError):
    """The request could not be read: broken JSON, a truncated tensor, an unknown parameter."""

    code, status = "malformed", 400


class Unauthenticated(GristmillError):
    code, status = "unauthenticated", 401


class OverBudget(GristmillError):
    code, status = "over_budget", 402


class Forbidden(GristmillError):
    code, status = "forbidden", 403


class NotFound(GristmillError):
    """Unknown to this tenant; another tenant's things give the same answer."""

    code, status = "not_found", 404


class Conflict(GristmillError):
    """Someone else was first: a deploy under way, an event id with another payload, a name that is taken."""

    code, status = "conflict", 409


class TooLarge(GristmillError):
    code, status = "too_large", 413


class UnsupportedMediaType(GristmillError):
    code, status = "unsupported_media_type", 415


class Unprocessable(GristmillError):
    """Well-formed but wrong: does not fit the signature, a recipe that contradicts itself, an inconsistent dataset."""

    code, status = "unprocessable", 422


class RateLimited(GristmillError):
    code, status = "rate_limited", 429


class Internal(GristmillError):
    """A bug of ours or of a model; the traceback is in the log under the request id."""


class Unavailable(GristmillError):
    """Shed, draining, or no replica is ready; worth another try after `retry_after_s`."""

    code, status = "unavailable", 503


class DeadlineExceeded(GristmillError):
    code, status = "deadline_exceeded", 504


class StorageFull(GristmillError):
    code, status = "storage_full", 507


class CorruptBundle(GristmillError):
    """A file of a bundle is not what its manifest says; `file` names it."""

    code, status = "corrupt_bundle", 500


ERRORS: dict[str, type[GristmillError]] = {
    cls.code: cls
    for cls in (
        Malformed,
        Unauthenticated,
        OverBudget,
        Forbidden,
        NotFound,
        Conflict,
        TooLarge,
        UnsupportedMediaType,
        Unprocessable,
        RateLimited,
        Internal,
        Unavailable,
        DeadlineExceeded,
        StorageFull,
        CorruptBundle,
    )
}


def from_code(code: str, message: str, *, retry_after_s: float | None = None, **details: Any) -> GristmillError:
    """Rebuild an error that crossed a socket as its code and sentence."""
    return ERRORS.get(code, Internal)(message, retry_after_s=retry_after_s, **details)
