"""Torch bundles with fresh weights: a benchmark of serving needs no training."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tests.serving.rig import Bundle

from gristmill.bundles.digests import scan
from gristmill.bundles.manifest import PREPROCESSING, Lineage, Manifest, write_manifest
from gristmill.bundles.replay import write_golden
from gristmill.core.types import Signature, TensorSpec
from gristmill.frameworks.torch.architectures.shapes import Shapes, build
from gristmill.frameworks.torch.weights import FILE
from gristmill.tasks.classification import Classification
from gristmill.tasks.preprocessing import NormaliseImage, Preprocessing, Standardise, encode_preprocessing
from gristmill.tasks.protocol import Tensors

FEATURES, CLASSES, SIDE = 30, 3, 28


def mlp_bundle(folder: Path) -> tuple[Bundle, torch.nn.Module]:
    """30-64-64-3."""
    preprocessing = Preprocessing(Standardise((0.0,) * FEATURES, (1.0,) * FEATURES))
    raw = {"features": np.random.default_rng(0).normal(size=(4, FEATURES)).astype(np.float32)}
    spec = TensorSpec("features", "FP32", (-1, FEATURES))
    return _bundle(folder, "tabular-classification", {"name": "mlp", "hidden": [64, 64]}, spec, preprocessing, raw)


def cnn_bundle(folder: Path) -> tuple[Bundle, torch.nn.Module]:
    """The platform's default residual CNN on 28×28 grey images."""
    preprocessing = Preprocessing(NormaliseImage((0.13,), (0.31,)))
    raw = {"image": np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 1), np.uint8)}
    spec = TensorSpec("image", "UINT8", (-1, SIDE, SIDE, 1))
    return _bundle(folder, "image-classification", {"name": "cnn"}, spec, preprocessing, raw)


def _bundle(
    folder: Path, task: str, architecture: dict[str, Any], spec: TensorSpec, preprocessing: Preprocessing, raw: Tensors
) -> tuple[Bundle, torch.nn.Module]:
    (folder / "weights").mkdir(parents=True)
    (model_input,) = preprocessing.apply(raw).values()
    shapes = {"row": list(model_input.shape[1:]), "outputs": CLASSES, "vocabulary": 0}
    torch.manual_seed(0)
    module = build(task, architecture, Shapes(tuple(shapes["row"]), CLASSES)).eval()
    save_file(module.state_dict(), folder / FILE)
    signature = Signature(
        task, (spec,), (TensorSpec("probabilities", "FP32", (-1, CLASSES), 0.0, 1.0),), ("a", "b", "c")
    )
    (folder / PREPROCESSING).write_bytes(encode_preprocessing(preprocessing))
    with torch.inference_mode():
        logits = module(torch.from_numpy(model_input)).numpy()
    write_golden(folder, raw, Classification().outputs(logits, signature))
    manifest = Manifest(
        name="bench", task=task, framework="torch", runtime="torch", architecture={**architecture, "shapes": shapes},
        signature=signature, lineage=Lineage(), files=scan(folder), licence=None, created_at=0.0,
        parameters=sum(prod(values.shape) for values in module.parameters()),
    )  # fmt: skip
    return Bundle(folder, write_manifest(folder, manifest), signature), module
