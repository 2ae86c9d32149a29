"""Who calls: the key in the request's headers, checked against the snapshot's hashes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping

from gristmill.core.errors import Forbidden, Unauthenticated
from gristmill.core.keys import parse, verify
from gristmill.core.routes import RouteKey

_REMEMBERED = 4096


class KeyRing:
    """The keys of one snapshot. What was verified once is remembered by the SHA-256 of the whole token."""

    def __init__(self, keys: Iterable[RouteKey], pepper: bytes) -> None:
        self._keys = {key.id: key for key in keys}
        self._pepper = pepper
        self._verified: dict[bytes, RouteKey] = {}

    def authenticate(self, headers: Mapping[bytes, bytes]) -> RouteKey:
        """Raises Unauthenticated without a key, Forbidden for one that is wrong, revoked or expired."""
        token = _token(headers)
        fingerprint = hashlib.sha256(token).digest()
        key = self._verified.get(fingerprint)
        if key is None:
            key = self._verify(token)
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[fingerprint] = key
        if key.expires_at is not None and key.expires_at <= time.time():
            raise Forbidden("This API key has expired: ask for a new one.")
        return key

    def _verify(self, token: bytes) -> RouteKey:
        try:
            key_id, secret = parse(token.decode("ascii"))
        except UnicodeDecodeError:
            raise Unauthenticated("The API key is not one of Gristmill's: it starts with gm_.") from None
        key = self._keys.get(key_id)
        # An unknown id is compared too, so that the time taken does not tell which ids exist.
        if not verify(self._pepper, secret, key.secret_hash if key else bytes(32)) or key is None:
            raise Forbidden("This API key is not valid, or it was revoked.")
        return key


def _token(headers: Mapping[bytes, bytes]) -> bytes:
    bearer = headers.get(b"authorization")
    if bearer is not None:
        if bearer[:7].lower() == b"bearer ":
            return bearer[7:].strip()
        raise Unauthenticated("Send the API key as `Authorization: Bearer gm_...` or as `x-api-key`.")
    token = headers.get(b"x-api-key")
    if token is None:
        raise Unauthenticated("An API key is needed: send `Authorization: Bearer gm_...` or `x-api-key`.")
    return token.strip()
