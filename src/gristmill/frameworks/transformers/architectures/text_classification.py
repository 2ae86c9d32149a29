"""Token ids → classes, with Transformers' own classes and new weights."""

from __future__ import annotations

from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.transformers.architectures.spread import spread


def transformer(
    shapes: Shapes, width: int = 128, heads: int = 4, layers: int = 2, max_length: int = 512, dropout: float = 0.0
) -> PreTrainedModel:
    """BERT (Devlin et al., NAACL 2019). Padding is id 0."""
    config = BertConfig(
        vocab_size=shapes.vocabulary, hidden_size=width, num_attention_heads=heads, num_hidden_layers=layers,
        intermediate_size=4 * width, max_position_embeddings=max_length, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout, num_labels=shapes.outputs, pad_token_id=0,
        initializer_range=spread(width),
    )  # fmt: skip
    return BertForSequenceClassification(config)


ARCHITECTURES = {"transformer": transformer}
