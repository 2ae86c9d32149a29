"""Where the platform is, and with which key: given, else from the environment, else from the home folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from gristmill.client.calls import Call
from gristmill.core.errors import Unavailable
from gristmill.core.settings import Settings, load_settings

ROOTS = {"control": "/api/v1", "inference": ""}


class Address(NamedTuple):
    control_url: str
    inference_url: str
    key: str | None

    def url(self, call: Call) -> str:
        base = self.control_url if call.plane == "control" else self.inference_url
        return f"{base}{ROOTS[call.plane]}{quote(call.path, safe='/:@')}"  # a name may hold a ? or a #

    def headers(self, call: Call) -> dict[str, str]:
        return {**({"authorization": f"Bearer {self.key}"} if self.key else {}), **call.headers}

    def silent(self, call: Call) -> Unavailable:
        """The error for a call that nothing answered."""
        base = self.control_url if call.plane == "control" else self.inference_url
        return Unavailable(f"Nothing answers at {base}: start the platform with `gristmill up`, or set GRISTMILL_URL.")


def find(
    url: str | None, key: str | None, inference_url: str | None, environ: Mapping[str, str] = os.environ
) -> Address:
    """`GRISTMILL_URL`, `GRISTMILL_INFERENCE_URL` and `GRISTMILL_API_KEY` stand before the home folder's own."""
    settings = load_settings(environ=environ)
    control_url = url or environ.get("GRISTMILL_URL") or f"http://{settings.host}:{settings.control_port}"
    inference_url = (
        inference_url or environ.get("GRISTMILL_INFERENCE_URL") or f"http://{settings.host}:{settings.inference_port}"
    )
    key = key or environ.get("GRISTMILL_API_KEY") or _key_of(settings)
    return Address(control_url.rstrip("/"), inference_url.rstrip("/"), key)


def _key_of(settings: Settings) -> str | None:
    try:
        return settings.admin_key_file.read_text().strip() or None
    except OSError:
        return None
