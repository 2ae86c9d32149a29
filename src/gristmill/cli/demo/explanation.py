"""Step 7: why the endpoint says so: a heat map as PNG, and how faithful it is."""

from __future__ import annotations

from typing import Any

from gristmill.cli.demo.clients import ROW, png
from gristmill.cli.demo.datasets import images
from gristmill.cli.demo.stage import ENDPOINT, Stage
from gristmill.cli.explain import explanation_view, save_picture
from gristmill.cli.output import text


def explain(stage: Stage) -> dict[str, Any]:
    """Integrated gradients of one digit's prediction."""
    image = images()[0][ROW]
    with stage.client() as client:
        answer = client.explain(ENDPOINT, png(image), render="png")
    picture = stage.folder / "explanation.png"
    save_picture(answer, picture)
    explanation = answer["explanations"][0]
    stage.tell(explanation_view(explanation, picture))
    names = ("deletion_auc", "insertion_auc", "random_deletion_auc", "random_insertion_auc")
    faithful = {name: explanation[name] for name in names}
    result = f"{picture.name}; deletion AUC {text(faithful[names[0]])}, insertion AUC {text(faithful[names[1]])}"
    return {"result": result, "picture": str(picture), **faithful}
