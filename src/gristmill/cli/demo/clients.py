"""Step 6: the endpoint through tritonclient, kserve and huggingface_hub, unmodified, and through our own SDK."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from huggingface_hub import InferenceClient
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from PIL import Image
from tritonclient import http as triton

from gristmill.cli.demo.datasets import images
from gristmill.cli.demo.stage import ENDPOINT, Stage
from gristmill.cli.formats import duration
from gristmill.cli.output import table
from gristmill.core.errors import Internal

ROW = 1234  # of the 1,797


def call(stage: Stage) -> dict[str, Any]:
    """Each client asks about the same image; all must say the same digit."""
    pixels, labels = images()
    image, truth = pixels[ROW : ROW + 1], str(labels[ROW])
    asked: dict[str, Callable[[Stage, np.ndarray], str]] = {
        "tritonclient (binary tensors)": _triton,
        "kserve (Open Inference Protocol v2)": _kserve,
        "huggingface_hub.InferenceClient (PNG)": _hugging_face,
        "gristmill.client (SDK)": _sdk,
    }
    rows = []
    for name, ask in asked.items():
        began = time.monotonic()
        rows.append({"client": name, "says": ask(stage, image), "in": duration(time.monotonic() - began)})
    stage.tell(table(rows, {"CLIENT": "client", "SAYS": "says", "IN": "in"}), f"The label of the image is {truth}.")
    answers = {row["says"] for row in rows}
    if len(answers) != 1:
        raise Internal(f"The clients got different answers to one image: {', '.join(sorted(answers))}.")
    return {"result": f"4 clients, one answer: {answers.pop()}", "label": truth, "clients": rows}


def png(image: np.ndarray) -> bytes:
    """One image, uint8 [8, 8, 1], as a PNG file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0]).save(buffer, format="PNG")
    return buffer.getvalue()


def _best(probabilities: np.ndarray, labels: list[str]) -> str:
    return str(labels[int(np.argmax(probabilities.reshape(-1)))])


def _labels(stage: Stage) -> list[str]:
    """The classes in the outputs' order, from the model's metadata."""
    with triton.InferenceServerClient(stage.inference_url.removeprefix("http://")) as client:
        described = client.get_model_metadata(ENDPOINT, headers={"authorization": f"Bearer {stage.key}"})
    return list(described["labels"])


def _triton(stage: Stage, image: np.ndarray) -> str:
    tensor = triton.InferInput("image", list(image.shape), "UINT8")
    tensor.set_data_from_numpy(image)
    with triton.InferenceServerClient(stage.inference_url.removeprefix("http://")) as client:
        answer = client.infer(ENDPOINT, [tensor], headers={"authorization": f"Bearer {stage.key}"})
    return _best(answer.as_numpy("probabilities"), _labels(stage))


def _kserve(stage: Stage, image: np.ndarray) -> str:
    tensor = InferInput("image", list(image.shape), "UINT8")
    tensor.set_data_from_numpy(image, binary_data=False)

    async def infer() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
        headers = {"authorization": f"Bearer {stage.key}"}
        try:
            request = InferRequest(model_name=ENDPOINT, infer_inputs=[tensor])
            return await client.infer(stage.inference_url, request, model_name=ENDPOINT, headers=headers)
        finally:
            await client.close()

    return _best(asyncio.run(infer()).outputs[0].as_numpy(), _labels(stage))


def _hugging_face(stage: Stage, image: np.ndarray) -> str:
    client = InferenceClient(model=f"{stage.inference_url}/models/{ENDPOINT}", token=stage.key)
    return str(client.image_classification(png(image[0]))[0].label)


def _sdk(stage: Stage, image: np.ndarray) -> str:
    with stage.client() as client:
        answers: Any = client.predict(ENDPOINT, png(image[0]))
    best = answers[0] if isinstance(answers[0], dict) else answers[0][0]
    return str(best["label"])
