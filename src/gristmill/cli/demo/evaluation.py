"""Step 4: both digit models on rows that neither has seen, with 95% intervals and a paired test."""

from __future__ import annotations

from typing import Any

from gristmill.cli.demo.stage import Stage
from gristmill.cli.evaluate import report_view
from gristmill.cli.live import watch
from gristmill.core.errors import Internal


def evaluate(stage: Stage) -> dict[str, Any]:
    """The CNN against the MLP: the report holds both."""
    mlp, cnn = stage.versions["digits-mlp"], stage.versions["digits-cnn"]
    with stage.client() as client:
        runs = [client.runs.evaluate(mlp, "digits@1"), client.runs.evaluate(cnn, "digits@1", against=mlp)]
        with stage.console.status("Evaluating …"):
            documents = [watch(client, run["id"], quiet=True) for run in runs]
    for version, document in zip((mlp, cnn), documents, strict=True):
        if document["state"] != "succeeded":
            raise Internal(f"The evaluation of {version} is {document['state']}: {document.get('error')}")
        stage.tell("", report_view(document))
    return {"result": documents[1]["report"]["verdict"], "reports": [document["report"] for document in documents]}
