"""Architectures for token ids → classes. Padding (id 0) never changes an answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gristmill.frameworks.torch.architectures.shapes import Shapes


class Recurrent(nn.Module):
    """Embedding, bidirectional LSTM or GRU, mean over the tokens. int64 [N, T] → [N, K]."""

    def __init__(
        self, cell: type[nn.LSTM] | type[nn.GRU], shapes: Shapes, embedding: int, hidden: int, layers: int,
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embedding = nn.Embedding(shapes.vocabulary, embedding, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        between = dropout if layers > 1 else 0.0
        self.layers = cell(embedding, hidden, layers, batch_first=True, bidirectional=True, dropout=between)
        self.head = nn.Linear(2 * hidden, shapes.outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        lengths = _lengths(tokens)
        packed = pack_padded_sequence(
            self.dropout(self.embedding(tokens)), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.layers(packed)[0], batch_first=True, total_length=tokens.shape[1])
        result: Tensor = self.head(self.dropout(states.sum(dim=1) / lengths[:, None]))
        return result


class TransformerClassifier(nn.Module):
    """Encoder with learned positions, pre-norm (Vaswani et al. 2017; Xiong et al. 2020), mean over the tokens."""

    def __init__(
        self, vocabulary: int, outputs: int, width: int, heads: int, layers: int, max_length: int, dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.positions = nn.Embedding(max_length, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        lengths = _lengths(tokens)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        positions = self.positions(places.clamp(max=self.positions.num_embeddings - 1))
        padding = places[None, :] >= lengths[:, None]
        states = self.encoder(self.embedding(tokens) + positions, src_key_padding_mask=padding)
        kept = states.masked_fill(padding[:, :, None], 0.0)
        result: Tensor = self.head(kept.sum(dim=1) / lengths[:, None])
        return result


def _lengths(tokens: Tensor) -> Tensor:
    """Up to the last token, so that one taken out of the middle moves no other; an empty text counts its padding."""
    places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    return ((tokens != 0) * places).amax(dim=1).clamp(min=1)


def bilstm(shapes: Shapes, embedding: int = 100, hidden: int = 128, layers: int = 1, dropout: float = 0.0) -> nn.Module:
    return Recurrent(nn.LSTM, shapes, embedding, hidden, layers, dropout)


def bigru(shapes: Shapes, embedding: int = 100, hidden: int = 128, layers: int = 1, dropout: float = 0.0) -> nn.Module:
    return Recurrent(nn.GRU, shapes, embedding, hidden, layers, dropout)


def transformer(
    shapes: Shapes, width: int = 128, heads: int = 4, layers: int = 2, max_length: int = 512, dropout: float = 0.0
) -> nn.Module:
    return TransformerClassifier(shapes.vocabulary, shapes.outputs, width, heads, layers, max_length, dropout)


ARCHITECTURES = {"bilstm": bilstm, "bigru": bigru, "transformer": transformer}
