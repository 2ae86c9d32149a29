"""Step 3: four recipes become four versions, their loss curves side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

from rich.console import Group
from rich.live import Live

from gristmill.cli.demo.stage import Stage
from gristmill.cli.formats import duration, tested
from gristmill.cli.live import Progress
from gristmill.cli.output import Fields, table
from gristmill.core.errors import Internal
from gristmill.tasks.recipe import read_recipe

RECIPES = ("digits-cnn", "digits-mlp", "wine-mlp", "diabetes-mlp")  # the longest first: two cores, two runs at a time
HOURS = ("data scientist", 0.5)  # declared on each run: people are an input too


def train(stage: Stage) -> dict[str, Any]:
    """Queue all four; the scheduler runs as many as the cores carry."""
    runs: dict[str, str] = {}
    with stage.client() as client:
        for name in RECIPES:
            recipe = read_recipe((files("gristmill.cli.demo") / "recipes" / f"{name}.yaml").read_text())
            runs[name] = client.runs.train(recipe.model_dump(mode="json"))["id"]
            client.books.declare_hours(*HOURS, f"run:{runs[name]}")
    documents = _watch(stage, runs)
    for name, run in documents.items():
        if run["state"] != "succeeded":
            raise Internal(f"The run of {name} is {run['state']}: {run.get('error') or 'it gave no reason'}")
        stage.versions[name] = run["made"]
    stage.tell(table(list(documents.values()), _FIELDS))
    return {"result": ", ".join(stage.versions.values()), "runs": list(documents.values())}


_FIELDS: Fields = {
    "VERSION": "made",
    "ON TEST ROWS": lambda run: tested(run["metrics"]),
    "TOOK": lambda run: duration(run["use"].get("wall_s")),
    "CPU": lambda run: duration(run["use"].get("cpu_s")),
    "ENERGY": lambda run: f"{run['use']['energy']['value']:.0f} J ({run['use']['energy']['basis']})",
}


def _watch(stage: Stage, runs: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Follow every run at once, one thread and one client each."""
    progress = {name: Progress(name, height=3) for name in runs}

    def follow(name: str) -> dict[str, Any]:
        with stage.client() as client:
            for event in client.runs.watch(runs[name]):
                progress[name].take(event)
            return dict(client.runs.get(runs[name]))

    with Live(Group(*progress.values()), console=stage.console, refresh_per_second=4), ThreadPoolExecutor() as pool:
        return dict(zip(runs, pool.map(follow, runs), strict=True))
