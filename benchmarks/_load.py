"""Load from wrk, or from h2load where HTTP/2 is in it: one thread, a fixed body, keep-alive connections."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class Load(NamedTuple):
    requests_per_s: float
    p50_s: float
    p99_s: float
    failed: int


def wrk(url: str, body: bytes, headers: dict[str, str], connections: int, seconds: int) -> Load:
    """Raises RuntimeError when wrk is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        content, script = Path(folder) / "body", Path(folder) / "post.lua"
        content.write_bytes(body)
        lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
        script.write_text(
            "\n".join(['wrk.method = "POST"', f'wrk.body = io.open("{content}", "rb"):read("*a")', *lines])
        )
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(script), url]
        try:
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            raise RuntimeError("The load comes from wrk: install it (apt-get install wrk).") from None
    return Load(_number(text, r"Requests/sec:\s+([\d.]+)"), _time(text, "50%"), _time(text, "99%"), _failed(text))


def h2load(
    url: str, body: bytes, headers: dict[str, str], connections: int, seconds: int, *, streams: int | None = None
) -> float:
    """Requests a second: HTTP/2 with so many `streams` a connection, HTTP/1.1 where None. Raises RuntimeError."""
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / "body"
        content.write_bytes(body)
        version = ["--h1", "-m1"] if streams is None else [f"-m{streams}"]
        sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        command = ["h2load", "-t1", f"-c{connections}", f"-D{seconds}", "--warm-up-time=1", "-d", str(content)]
        try:
            text = subprocess.run([*command, *version, *sent, url], capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            raise RuntimeError("The load comes from h2load: install it (apt-get install nghttp2-client).") from None
    if int(_number(text, r" (\d+) failed")) or int(_number(text, r"status codes: \d+ 2xx, \d+ 3xx, (\d+) 4xx")):
        raise RuntimeError(f"h2load had failures: {text[-400:]}")
    return _number(text, r"finished in .*?, ([\d.]+) req/s")


def _number(text: str, pattern: str) -> float:
    match = re.search(pattern, text)
    return float(match[1]) if match else 0.0


def _time(text: str, percentile: str) -> float:
    match = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", text)
    return float(match[1]) * _UNITS[match[2]] if match else float("nan")


def _failed(text: str) -> int:
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return int(_number(text, r"Non-2xx or 3xx responses: (\d+)")) + sum(map(int, sockets.groups() if sockets else ()))
