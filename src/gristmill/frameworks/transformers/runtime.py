"""Serving a pretrained model with Transformers: its own classes, safetensors only, nothing fetched, no remote code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import Resources
from gristmill.frameworks.language import LanguageRuntime
from gristmill.frameworks.protocol import Runtime
from gristmill.frameworks.scores import scores_of
from gristmill.frameworks.transformers.embedding import embed
from gristmill.frameworks.transformers.folder import read_folder
from gristmill.frameworks.transformers.opening import opened
from gristmill.frameworks.transformers.pooling import Pooling
from gristmill.tasks.protocol import ModelOutput, Tensors

_CLASSES = {
    "ForSequenceClassification": transformers.AutoModelForSequenceClassification,
    "ForImageClassification": transformers.AutoModelForImageClassification,
    "": transformers.AutoModel,
}


class TransformersRuntime:
    """See frameworks/protocol.Runtime and Differentiable."""

    def __init__(
        self, model: Any, scores: str, padding: int, device: torch.device, pooling: Pooling | None = None
    ) -> None:
        self._model, self._scores, self._padding = model.to(device), scores, padding
        self._device, self._pooling = device, pooling

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> Runtime:
        if manifest.signature.language is not None:
            return LanguageRuntime.load(bundle, manifest, resources)
        torch.set_num_threads(max(1, int(resources.cores)))
        device = torch.device("cuda" if resources.gpus > 0 and torch.cuda.is_available() else "cpu")
        pooling = manifest.architecture.get("pooling")
        padding = int(manifest.architecture.get("padding", 0))
        return cls(load_model(bundle / "weights"), scores_of(manifest.signature), padding, device,
                   Pooling(**pooling) if pooling else None)  # fmt: skip

    @torch.inference_mode()
    def infer(self, inputs: Tensors) -> ModelOutput:
        if self._pooling is not None:
            return embed(self._model, inputs["tokens"], self._padding, self._pooling, self._device)
        if "tokens" in inputs:
            tokens = inputs["tokens"]
            given = {"input_ids": tokens, "attention_mask": (tokens != self._padding).astype(np.int64)}
        else:
            given = {"pixel_values": inputs["image"]} if "image" in inputs else dict(inputs)
        output = self._model(**{name: torch.from_numpy(values).to(self._device) for name, values in given.items()})
        result: np.ndarray = output[0].float().cpu().numpy()  # logits, or the last hidden state
        return result

    def integrated_gradients(
        self, inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int
    ) -> tuple[Tensors, np.ndarray]:
        from gristmill.frameworks.transformers.gradients import integrated_gradients

        if self._pooling is not None or ("tokens" not in inputs and "image" not in inputs):
            raise Unprocessable("A bare encoder answers with states and no scores: nothing of it can be explained.")
        return integrated_gradients(self._model, self._scores, self._padding, inputs, baselines, targets, steps)

    def close(self) -> None:
        del self._model


def load_model(folder: Path) -> Any:
    """In evaluation mode. Raises CorruptBundle when the weights are not those of the config's architecture."""
    model, told = opened(_CLASSES[read_folder(folder).head], folder, dtype=torch.float32)
    wanted = {
        name for name in told["missing_keys"] if "pooler" not in name
    }  # an encoder may be saved without its pooler
    if wanted or told["mismatched_keys"]:
        name = min(wanted) if wanted else str(next(iter(told["mismatched_keys"])))
        raise CorruptBundle(f"The weights are those of another architecture than config.json names: {name!r} is "
                            "missing or of another shape.", file="config.json")  # fmt: skip
    return model.eval()
