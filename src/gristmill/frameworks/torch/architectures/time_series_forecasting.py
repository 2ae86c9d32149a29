"""Architectures for a history of series → the steps that follow, all at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gristmill.frameworks.torch.architectures.shapes import Shapes


class Forecaster(nn.Module):
    """LSTM or GRU over the history, linear from its last state. float32 [N, window, S] → [N, horizon · T].

    It learns how far each target moves from its last value, which keeps forecasts right where a series has left the
    level that it had in training (Zeng et al., AAAI 2023, "NLinear"), and answers in the data's own units.
    """

    places: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self, cell: type[nn.LSTM] | type[nn.GRU], shapes: Shapes, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        series, places = shapes.row[1], list(shapes.targets) or [shapes.row[1] - 1]
        self.layers = cell(series, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, shapes.outputs)
        self.register_buffer("places", torch.tensor(places * (shapes.outputs // len(places))), persistent=False)
        self.register_buffer("target_mean", torch.ones(shapes.outputs) * torch.tensor(shapes.target_mean))
        self.register_buffer("target_std", torch.ones(shapes.outputs) * torch.tensor(shapes.target_std))

    def forward(self, history: Tensor) -> Tensor:
        last = history[:, -1]
        states, _ = self.layers(history - last[:, None])
        moved = self.head(self.dropout(states[:, -1])).float()
        result: Tensor = (last.float().index_select(1, self.places) + moved) * self.target_std + self.target_mean
        return result


def lstm(shapes: Shapes, hidden: int = 64, layers: int = 1, dropout: float = 0.0) -> nn.Module:
    return Forecaster(nn.LSTM, shapes, hidden, layers, dropout)


def gru(shapes: Shapes, hidden: int = 64, layers: int = 1, dropout: float = 0.0) -> nn.Module:
    return Forecaster(nn.GRU, shapes, hidden, layers, dropout)


ARCHITECTURES = {"lstm": lstm, "gru": gru}
