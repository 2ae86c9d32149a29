"""Small real networks as explainers see them, and the same network as captum sees it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from gristmill.core.types import Signature, TensorSpec
from gristmill.explanation.protocol import Subject
from gristmill.tasks.preprocessing import (
    CategoryColumn,
    EncodeColumns,
    NormaliseImage,
    NumberColumn,
    Preprocessing,
    Standardise,
    Tokenise,
)
from gristmill.tasks.protocol import Tensors

torch.set_num_threads(1)
VOCABULARY = ("mill", "water", "good", "bad", "stone")


def predicting(module: torch.nn.Module, tensor: str) -> Callable[[Tensors], np.ndarray]:
    def predict(inputs: Tensors) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(inputs[tensor])).numpy()

    return predict


def differentiated(module: torch.nn.Module, tensor: str) -> Callable[..., tuple[Tensors, np.ndarray]]:
    from captum.attr import IntegratedGradients

    def gradients(inputs: Tensors, baselines: Tensors, targets: np.ndarray, steps: int) -> tuple[Tensors, np.ndarray]:
        values, delta = IntegratedGradients(module).attribute(
            torch.from_numpy(inputs[tensor]), torch.from_numpy(baselines[tensor]), target=torch.from_numpy(targets),
            n_steps=steps, return_convergence_delta=True,
        )  # fmt: skip
        return {tensor: values.detach().numpy()}, delta.detach().numpy()

    return gradients


def table(classes: int = 3) -> tuple[Subject, torch.nn.Module]:
    """Four features; `classes` 1 is a regression."""
    torch.manual_seed(5)
    layers = [torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, classes)]
    module = torch.nn.Sequential(*layers, *([torch.nn.Softmax(dim=1)] if classes > 1 else []))
    step = Standardise((1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 0.5, 1.5))
    labels = tuple("abc"[:classes]) if classes > 1 else None
    signature = Signature(
        "tabular-classification" if labels else "tabular-regression", (TensorSpec("features", "FP32", (-1, 4)),),
        (TensorSpec("out", "FP32", (-1, classes)),), labels, ("ash", "flavour", "hue", "proline"), target="price",
    )  # fmt: skip
    predict, gradients = predicting(module, "features"), differentiated(module, "features")
    return Subject(signature, Preprocessing(step), predict, gradients), module


def mixed_table() -> tuple[Subject, torch.nn.Module]:
    """A number, a category of three (and unknown), a number: five model columns and one."""
    torch.manual_seed(6)
    module = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2), torch.nn.Softmax(dim=1))
    columns = (
        NumberColumn("age", 40, 10, 38),
        CategoryColumn("region", ("north", "south", "west")),
        NumberColumn("income", 10, 5, 9),
    )
    specs = tuple(
        TensorSpec(name, dtype, (-1, 1)) for name, dtype in (("age", "FP32"), ("region", "BYTES"), ("income", "FP32"))
    )
    signature = Signature("tabular-classification", specs, (TensorSpec("probabilities", "FP32", (-1, 2)),),
                          ("no", "yes"), ("age", "region", "income"))  # fmt: skip
    return Subject(signature, Preprocessing(EncodeColumns(columns)), predicting(module, "features"), None), module


def image() -> tuple[Subject, torch.nn.Module]:
    torch.manual_seed(7)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(256, 3),
        torch.nn.Softmax(dim=1),
    )  # fmt: skip
    signature = Signature("image-classification", (TensorSpec("image", "UINT8", (-1, 8, 8, 1)),),
                          (TensorSpec("probabilities", "FP32", (-1, 3)),), ("zero", "one", "two"))  # fmt: skip
    predict, gradients = predicting(module, "image"), differentiated(module, "image")
    return Subject(signature, Preprocessing(NormaliseImage((0.3,), (0.35,))), predict, gradients), module


class Bag(torch.nn.Module):
    """Mean of the embeddings of what is not padding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.embedding = torch.nn.Embedding(len(VOCABULARY) + 2, 6, padding_idx=0)
        self.out = torch.nn.Linear(6, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        kept = (tokens != 0).sum(dim=1, keepdim=True).clamp(min=1)
        return self.out(self.embedding(tokens).sum(dim=1) / kept).softmax(dim=1)


def text() -> tuple[Subject, torch.nn.Module]:
    module = Bag()
    signature = Signature("text-classification", (TensorSpec("text", "BYTES", (-1,)),),
                          (TensorSpec("probabilities", "FP32", (-1, 2)),), ("bad", "good"))  # fmt: skip
    return Subject(signature, Preprocessing(Tokenise(VOCABULARY, 16)), predicting(module, "tokens"), None), module


def table_rows(count: int = 3) -> Tensors:
    return {"features": np.random.default_rng(1).normal(2, 2, (count, 4)).astype(np.float32)}


def image_rows(count: int = 2) -> Tensors:
    return {"image": np.random.default_rng(2).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)}


def text_rows(*texts: bytes) -> Tensors:
    return {"text": np.asarray(texts or (b"good water, good mill", b"bad stone"), object)}
