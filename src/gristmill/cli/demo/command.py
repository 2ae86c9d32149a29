"""`gristmill demo`: nine steps from real data to the books, each a function of the stage."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.rule import Rule

from gristmill.cli import installation, ports
from gristmill.cli.demo.stage import Stage
from gristmill.cli.failure import Failed
from gristmill.cli.formats import duration
from gristmill.cli.output import AsJson, console, show, table
from gristmill.core.errors import GristmillError
from gristmill.core.settings import default_home, load_settings

STEPS = (
    ("Start the platform", "gristmill.cli.demo.platform:start"),
    ("Add the datasets", "gristmill.cli.demo.datasets:add"),
    ("Train from recipes", "gristmill.cli.demo.training:train"),
    ("Evaluate both digit models", "gristmill.cli.demo.evaluation:evaluate"),
    ("Deploy, and move the endpoint under load", "gristmill.cli.demo.deployment:deploy"),
    ("Call it with clients that others wrote", "gristmill.cli.demo.clients:call"),
    ("Explain a prediction", "gristmill.cli.demo.explanation:explain"),
    ("Read the books", "gristmill.cli.demo.accounts:read"),
)
BOOKING_PERIOD_S = 2.0  # replicas live for seconds here, and the books are to show what they used
NEEDS = ("sklearn", "torch", "tritonclient", "kserve", "huggingface_hub")


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the platform running at the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take real data through the whole life of a model: data, training, evaluation, endpoint, clients, books.

    Runs in $GRISTMILL_HOME if that is set, else in a folder of its own under the temporary folder.
    """
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise Failed(f"The demo needs {', '.join(missing)}: pip install 'gristmill[demo]'.")
    stage = _set_up(Console(quiet=True) if as_json else console)
    took = _play(stage, keep)
    document = {"steps": stage.facts, "seconds": took, "home": stage.settings.home, "kept": keep}
    show(document, as_json, lambda _: _summary(stage, took))
    if keep and not as_json:
        stage.tell("", f"It is still up at {stage.inference_url}, key {stage.key}")
        stage.tell(f"Stop it with: gristmill --home {stage.settings.home} down")


def _set_up(out: Console) -> Stage:
    """A home of the demo's own, with free ports if the usual ones are busy."""
    if not os.environ.get("GRISTMILL_HOME"):
        os.environ["GRISTMILL_HOME"] = tempfile.mkdtemp(prefix="gristmill-demo-")
    home = default_home()
    settings = load_settings()
    if not installation.running(settings):
        wanted = {name: getattr(settings, name) for name in ("inference_port", "control_port", "grpc_port")}
        busy: dict[str, float] = {
            name: ports.unused() for name, port in wanted.items() if not ports.free(settings.host, port)
        }
        installation.remember(settings, booking_period_s=BOOKING_PERIOD_S, **busy)
    folder = home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    return Stage(load_settings(), folder, out)


def _play(stage: Stage, keep: bool) -> dict[str, float]:
    """Run the steps; stop the platform cleanly whatever happens. Seconds by step."""
    took: dict[str, float] = {}
    try:
        for number, (title, target) in enumerate(STEPS, 1):
            stage.tell("", Rule(f"{number}. {title}", align="left"))
            took[title] = _step(stage, title, target)
        keep_running = keep
    except BaseException:
        keep_running = False
        raise
    finally:
        if not keep_running:
            stage.tell("", Rule(f"{len(STEPS) + 1}. Stop", align="left"))
            began = time.monotonic()
            stopped = installation.stop(stage.settings, lambda _: None)
            took["Stop"] = time.monotonic() - began
            stage.tell(f"{stopped} processes ended in {duration(took['Stop'])}.")
    return took


def _step(stage: Stage, title: str, target: str) -> float:
    """One step, imported when its turn comes: the clients of others take seconds to import."""
    module, _, name = target.partition(":")
    began = time.monotonic()
    try:
        stage.facts[title] = getattr(importlib.import_module(module), name)(stage)
    except GristmillError as error:
        log = Path(stage.settings.home) / installation.LOG
        raise Failed(f"Step {title!r} failed: {error.message} The log is {log}.") from error
    return time.monotonic() - began


def _summary(stage: Stage, took: dict[str, float]) -> Any:
    rows = [
        {"step": title, "seconds": duration(seconds), "result": (stage.facts.get(title) or {}).get("result", "done")}
        for title, seconds in took.items()
    ]
    rows.append({"step": "Together", "seconds": duration(sum(took.values())), "result": ""})
    return table(rows, {"STEP": "step", "TOOK": "seconds", "RESULT": "result"})
