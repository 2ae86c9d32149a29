"""API keys: `gm_<id>_<secret><checksum>`. The token is shown once; only HMAC-SHA256(pepper, secret) is stored.

The checksum tells a typo from a wrong key without a look-up, and lets secret scanners confirm a find.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from typing import NamedTuple

from gristmill.core.errors import Unauthenticated

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 12, 32, 6  # 32 base62 digits are 190 bits
_TOKEN = re.compile(
    rf"gm_([0-9A-Za-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


class MintedKey(NamedTuple):
    id: str
    token: str
    secret: str


def mint() -> MintedKey:
    """A new random key."""
    identifier = "".join(secrets.choice(_BASE62) for _ in range(_ID_LENGTH))
    secret = "".join(secrets.choice(_BASE62) for _ in range(_SECRET_LENGTH))
    return MintedKey(identifier, f"gm_{identifier}_{secret}{_checksum(identifier, secret)}", secret)


def parse(token: str) -> tuple[str, str]:
    """(id, secret) of a well-formed token. Raises Unauthenticated; says nothing about whether the key exists."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise Unauthenticated("This is not a Gristmill key: send one as 'Authorization: Bearer gm_...'.")
    identifier, secret, checksum = match.groups()
    if not hmac.compare_digest(checksum, _checksum(identifier, secret)):
        raise Unauthenticated("The key's checksum does not match: it was mistyped or cut off in copying.")
    return identifier, secret


def secret_hash(pepper: bytes, secret: str) -> bytes:
    """What is stored of a secret, 32 bytes."""
    return hmac.digest(pepper, secret.encode(), hashlib.sha256)


def verify(pepper: bytes, secret: str, stored: bytes) -> bool:
    """In constant time."""
    return hmac.compare_digest(secret_hash(pepper, secret), stored)


def _checksum(identifier: str, secret: str) -> str:
    value = zlib.crc32(f"{identifier}{secret}".encode())
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        value, digit = divmod(value, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
