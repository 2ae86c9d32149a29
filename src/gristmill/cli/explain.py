"""`gristmill explain`: why an endpoint answered so, with a picture and its faithfulness."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from gristmill.cli.arguments import assignment
from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, facts, show, table, text
from gristmill.cli.predict import Endpoint, Input, read_input, told_as
from gristmill.core.errors import Unprocessable
from gristmill.tasks.recipe import set_fields

# The API gives a part of a page; a file says by itself how it is read, and is as wide as a telephone.
PAGE = (
    '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>Explanation</title></head><body>{}</body></html>\n"
)
MOST_ROWS = 12  # of the features or tokens that mattered most


def explain(
    endpoint: Endpoint,
    input_: Input,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Save a picture here: .png or .html.")] = None,
    method: Annotated[str | None, typer.Option(help="integrated-gradients, occlusion or shapley.")] = None,
    target: Annotated[int | None, typer.Option(min=0, help="Which output; the highest otherwise.")] = None,
    answer: Annotated[str | None, typer.Option(help="Of a language model: this answer, not its own.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, max=512, help="Of its own answer; 32 otherwise.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="An option of the method, such as window, steps, points.",
            parser=assignment("window=16"),
        ),
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds; 4 times a prediction's otherwise.")] = None,
    as_json: AsJson = False,
) -> None:
    """Explain an endpoint's prediction: what mattered how much, and how faithful that is."""
    options = set_fields({}, settings or [])
    payload = read_input(input_)
    render = None if output is None else "html" if output.suffix == ".html" else "png"
    with connect() as client, told_as(input_, payload):
        found = client.explain(endpoint, payload, method=method, target=target, render=render, answer=answer,
                               max_new_tokens=max_new_tokens, options=options, timeout_s=timeout)  # fmt: skip
    if output:
        save_picture(found, output)
    show(found, as_json, lambda document: explanation_view(document["explanations"][0], output))


def save_picture(answer: dict[str, Any], path: Path) -> None:
    """Write the first explanation's picture. Raises Unprocessable when the answer has none."""
    picture = answer["explanations"][0].get("picture")
    if not picture:
        raise Unprocessable("This explanation has no picture: leave -o out and read its figures.")
    path.write_bytes(PAGE.format(picture).encode() if path.suffix == ".html" else base64.b64decode(picture))


def explanation_view(explanation: dict[str, Any], picture: Path | None) -> RenderableType:
    names = explanation.get("names")
    label = explanation.get("label")
    parts: list[RenderableType] = [
        facts(
            {
                "explains": label if label is not None else explanation.get("target"),
                "score": explanation.get("score"),
                "method": explanation.get("method"),
                "deletion AUC": _beside_chance(explanation, "deletion_auc", "lower is better"),
                "insertion AUC": _beside_chance(explanation, "insertion_auc", "higher is better"),
                "convergence error": explanation.get("delta"),
                "picture": str(picture) if picture else None,
            }
        )
    ]
    if names:
        values = explanation["values"]
        if explanation.get("outputs"):  # of generated text: for the answer as a whole
            values = [sum(column) for column in zip(*values, strict=True)]
        ranked = sorted(zip(names, values, strict=True), key=lambda pair: -abs(pair[1]))
        rows = [{"name": name.replace("\n", "\\n"), "value": value} for name, value in ranked[:MOST_ROWS]]
        parts += ["", table(rows, {"WHAT": "name", "ATTRIBUTION": lambda row: f"{row['value']:+.4f}"})]
        if len(ranked) > MOST_ROWS:
            parts += ["", f"The {MOST_ROWS} that mattered most, of {len(ranked)}; --json tells all."]
    return Group(*parts)


def _beside_chance(explanation: dict[str, Any], name: str, meaning: str) -> str | None:
    """An AUC means something only beside what an order by chance gives."""
    if explanation.get(name) is None:
        return None
    return f"{explanation[name]:.3f} (by chance {text(explanation.get(f'random_{name}'))}; {meaning})"
