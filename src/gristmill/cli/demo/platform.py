"""Step 1: the platform comes up."""

from __future__ import annotations

import os
from typing import Any

from gristmill.cli import installation
from gristmill.cli.demo.stage import Stage
from gristmill.cli.output import facts


def start(stage: Stage) -> dict[str, Any]:
    """Start it unless it is up already."""
    if not installation.running(stage.settings):
        installation.check_ports(stage.settings)
        with stage.console.status("Starting …") as line:
            installation.start(stage.settings, os.environ, line.update)
    control_url = f"http://{stage.settings.host}:{stage.settings.control_port}"
    stage.tell(facts({"inference": stage.inference_url, "control": control_url, "home": stage.settings.home}))
    return {"result": f"up at {stage.inference_url}", "inference_url": stage.inference_url, "control_url": control_url}
