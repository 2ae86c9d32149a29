"""Step 5: the MLP goes behind an endpoint; the endpoint moves to the CNN while a client keeps calling."""

from __future__ import annotations

import time
from typing import Any

from gristmill.cli.demo.datasets import images
from gristmill.cli.demo.load import Caller
from gristmill.cli.demo.stage import ENDPOINT, Stage
from gristmill.cli.formats import duration
from gristmill.core.errors import Internal

BEFORE_AND_AFTER_S = 1.0  # of calls on each side of the move


def deploy(stage: Stage) -> dict[str, Any]:
    """Deploy, call, move; no request may fail."""
    mlp, cnn = stage.versions["digits-mlp"], stage.versions["digits-cnn"]
    image = images()[0][:1]
    with stage.client() as client:
        with stage.console.status(f"{ENDPOINT} comes up with {mlp} …"):
            client.endpoints.deploy(mlp, endpoint=ENDPOINT, replicas=1)
            client.endpoints.wait(ENDPOINT)
        with Caller(stage.client, ENDPOINT, image) as caller, stage.console.status(f"{ENDPOINT} moves to {cnn} …"):
            time.sleep(BEFORE_AND_AFTER_S)
            began = time.monotonic()
            client.endpoints.deploy(cnn, endpoint=ENDPOINT, strategy="rolling", replicas=1)
            client.endpoints.wait(ENDPOINT)
            moved_in = time.monotonic() - began
            time.sleep(BEFORE_AND_AFTER_S)
    answered = ", ".join(f"{count} by {version}" for version, count in caller.answers.items())
    stage.tell(f"The move took {duration(moved_in)}: {answered} answered, {len(caller.failures)} failed.")
    if caller.failures:
        raise Internal(f"{len(caller.failures)} requests failed during the move: {caller.failures[0]}")
    return {
        "result": f"{sum(caller.answers.values())} calls during the move, 0 failed",
        "answers": dict(caller.answers),
        "failures": len(caller.failures),
        "moved_in_s": moved_in,
    }
