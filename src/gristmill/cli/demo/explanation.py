"""Step 7: why the endpoint says so: a heat map as PNG, and how faithful it is."""

from __future__ import annotations

from typing import Any

from gristmill.cli.demo.clients import ROW, png
from gristmill.cli.demo.datasets import images
from gristmill.cli.demo.stage import ENDPOINT, Stage
from gristmill.cli.explain import explanation_view, save_picture


def explain(stage: Stage) -> dict[str, Any]:
    """Integrated gradients of one digit's prediction."""
    image = images()[0][ROW]
    with stage.client() as client:
        answer = client.explain(ENDPOINT, png(image), render="png")
    picture = stage.folder / "explanation.png"
    save_picture(answer, picture)
    explanation = answer["explanations"][0]
    stage.tell(explanation_view(explanation, picture))
    faithful = {name: explanation.get(name) for name in ("deletion_auc", "insertion_auc")}
    result = f"deletion AUC {faithful['deletion_auc']:.3f}, insertion AUC {faithful['insertion_auc']:.3f}"
    return {"result": result, "picture": str(picture), **faithful}
