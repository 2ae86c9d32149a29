"""`python -m gristmill.serving.worker FOLDER`: serve the version that `replica.json` in the folder names."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import msgspec

from gristmill.core import log
from gristmill.core.errors import GristmillError, Internal
from gristmill.core.files import write_atomic
from gristmill.core.processes import claim
from gristmill.core.types import ReplicaSpec
from gristmill.serving.wire.messages import Ready
from gristmill.serving.worker import memory
from gristmill.serving.worker.batches import Batches
from gristmill.serving.worker.server import Answering, Server
from gristmill.serving.worker.state import WorkerState
from gristmill.serving.worker.version import Version, load

_log = logging.getLogger("gristmill.serving.worker")
_DRAIN_S = 30.0
_TELL_FAILURE_S = 5.0  # pings hear of a failed load this long; after that failure.json tells it


def main(folder: Path) -> int:
    claim(folder)
    spec = msgspec.json.decode((folder / "replica.json").read_bytes(), type=ReplicaSpec)
    log.configure(spec.log_level)
    (folder / "failure.json").unlink(missing_ok=True)
    memory.watch(spec.resources.memory_bytes)
    state = WorkerState(spec.resources.gpus)
    server = Server(spec.socket, state)
    try:
        version, timings = load(spec)
    except Exception as error:
        return _fail(folder, spec.endpoint, state, error)
    state.wanted = spec.adapters
    answering = _answering(version, spec, state, server)
    answering.adapt()
    server.end_on_sigterm()
    _log.info("%s is ready on replica %s", spec.model, spec.id)
    server.serve(answering, Ready(spec.digest, timings), _DRAIN_S)
    version.runtime.close()
    return 0


def _answering(version: Version, spec: ReplicaSpec, state: WorkerState, server: Server) -> Answering:
    if version.manifest.signature.language is None:
        return Batches(version, state, server.send)
    from gristmill.serving.worker.generation.generating import Generation

    return Generation(version, Path(spec.bundle), spec.resources, state, server.send)


def _fail(folder: Path, endpoint: str, state: WorkerState, error: Exception) -> int:
    if not isinstance(error, GristmillError):
        _log.error("the version did not load", exc_info=error)
        error = Internal(
            f"The version did not load: {type(error).__name__}; `gristmill endpoints logs {endpoint}` shows the reason."
        )
    _log.error("%s", error.message)
    failure = {"code": error.code, "message": error.message, "details": error.details}
    write_atomic(folder / "failure.json", msgspec.json.encode(failure, enc_hook=str))
    state.fail(error.message)
    time.sleep(_TELL_FAILURE_S)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
