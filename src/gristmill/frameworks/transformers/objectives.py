"""What the Trainer minimises, and on what: classes of texts and images, or the next token of packed blocks."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gristmill.frameworks.on_torch.data import DeviceSplit
from gristmill.frameworks.on_torch.losses import build_loss
from gristmill.frameworks.protocol import TrainJob
from gristmill.tasks.language.packing import IGNORED
from gristmill.tasks.protocol import ModelOutput
from gristmill.tasks.text_generation import NLL, TOKENS

_ROWS = 128
_LOGITS = 2**26  # of a validation batch at most: a large vocabulary makes few rows of them


class Objective(Protocol):
    train: DeviceSplit

    def given(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """A batch as the model's forward and the Trainer name its parts; `labels` among them."""
        ...

    def loss(self, outputs: Any, labels: Tensor) -> tuple[Tensor, int]:
        """The mean over a batch, and how many items it is the mean of."""
        ...

    def validate(self, model: Any) -> tuple[ModelOutput, float]:
        """See frameworks/training.Learner; the model is in evaluation mode."""
        ...


class Classification:
    def __init__(self, job: TrainJob, default_loss: str, padding: int, device: torch.device) -> None:
        self.train, self.validation = (DeviceSplit(split, device, padding) for split in (job.train, job.validation))
        self._padding = padding
        self._loss = build_loss(job.recipe.loss, job.recipe.loss.name or default_loss, self.train.y, job.classes)

    def given(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return self._inputs(x) | {"labels": y}

    def _inputs(self, x: Tensor) -> dict[str, Tensor]:
        if x.is_floating_point():
            return {"pixel_values": x}
        return {"input_ids": x, "attention_mask": (x != self._padding).long()}

    def loss(self, outputs: Any, labels: Tensor) -> tuple[Tensor, int]:
        return self._loss(outputs.logits, labels), len(labels)

    def validate(self, model: Any) -> tuple[ModelOutput, float]:
        parts = [model(**self._inputs(x)).logits.float() for x, _ in self.validation.batches(_ROWS)]
        output = torch.cat(parts)
        return output.cpu().numpy(), float(self._loss(output, self.validation.y))


class NextToken:
    """Labels are the tokens themselves: what comes after place t is scored by the label at t + 1."""

    def __init__(self, job: TrainJob, device: torch.device) -> None:
        # blocks are whole: no id pads them, so that none is cut
        self.train, self.validation = (DeviceSplit(split, device, IGNORED) for split in (job.train, job.validation))
        self._smoothing = job.recipe.loss.label_smoothing
        self._rows = max(1, _LOGITS // ((job.vocabulary or 1) * self.train.x.shape[1]))

    def given(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"input_ids": x, "labels": y}

    def loss(self, outputs: Any, labels: Tensor) -> tuple[Tensor, int]:
        count = int((labels[:, 1:] != IGNORED).sum())
        return self._sum(outputs.logits, labels, "sum", self._smoothing) / max(1, count), count

    def _sum(self, logits: Tensor, labels: Tensor, reduction: str, smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED,
                               reduction=reduction, label_smoothing=smoothing)  # fmt: skip

    def validate(self, model: Any) -> tuple[ModelOutput, float]:
        losses, counts = [], []
        for x, y in self.validation.batches(min(_ROWS, self._rows)):
            by_token = self._sum(model(input_ids=x).logits, y, "none").reshape(len(x), -1)
            losses.append(by_token.double().sum(dim=1))
            counts.append((y[:, 1:] != IGNORED).sum(dim=1))
        nll, tokens = torch.cat(losses).cpu().numpy(), torch.cat(counts).cpu().numpy().astype(np.float64)
        return {NLL: nll, TOKENS: tokens}, float(nll.sum() / max(1.0, tokens.sum()))
