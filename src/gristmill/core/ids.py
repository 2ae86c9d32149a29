"""Identifiers: sortable random ones for things, derived ones for events."""

from __future__ import annotations

import hashlib
import os
import re
import time

from gristmill.core.errors import Unprocessable

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base32
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_VERSION_REF = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]{0,62})(?:@(?P<version>[a-z0-9][a-z0-9._-]{0,62}))?")
LARGEST_NUMBER = 2**31 - 1  # of a version: what every database's integer holds


def new_id(prefix: str) -> str:
    """`run_01k9...`: 48 bits of milliseconds, then 80 random bits, so that ids sort by time (as ULID does)."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    digits = []
    for _ in range(26):
        value, digit = divmod(value, 32)
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"


def derived_id(kind: str, *parts: str | int) -> str:
    """An id that the same work always gets again: retries of one event find the first one."""
    digest = hashlib.sha256("\x1f".join((kind, *map(str, parts))).encode()).hexdigest()
    return f"{kind}_{digest[:32]}"


def check_name(name: str, what: str) -> str:
    """`name` if it may name a `what`; raises Unprocessable otherwise."""
    if not _NAME.fullmatch(name):
        raise Unprocessable(
            f"The {what} name {name!r} is not valid: use 1 to 63 of a-z, 0-9, '.', '_', '-', a letter or digit first.",
            field="name",
            got=name,
        )
    return name


def parse_reference(text: str, what: str = "version") -> tuple[str, str | None]:
    """`digits@2` → ("digits", "2"); `digits@champion` → ("digits", "champion"); `digits` → ("digits", None)."""
    match = _VERSION_REF.fullmatch(text)
    if not match:
        raise Unprocessable(f"{text!r} does not name a {what}: write NAME or NAME@VERSION.", got=text)
    return match["name"], match["version"]
