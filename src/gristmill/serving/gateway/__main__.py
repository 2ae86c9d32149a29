"""`python -m gristmill.serving.gateway FOLDER`: serve as `gateway.json` in the folder says."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from gristmill.core import log
from gristmill.core.processes import claim
from gristmill.core.types import GatewaySpec
from gristmill.serving.gateway.server import run


def main(folder: Path) -> None:
    claim(folder)
    spec = msgspec.json.decode((folder / "gateway.json").read_bytes(), type=GatewaySpec)
    log.configure(spec.log_level)
    run(spec)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
