"""Images → classes, with Transformers' own classes and new weights."""

from __future__ import annotations

from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification

from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.transformers.architectures.spread import spread


def vit(
    shapes: Shapes, patch: int = 4, width: int = 64, heads: int = 4, layers: int = 4, dropout: float = 0.0
) -> PreTrainedModel:
    """Dosovitskiy et al., ICLR 2021, "An Image is Worth 16x16 Words"; square images whose side `patch` divides."""
    channels, height, image_width = shapes.row
    if height != image_width or height % patch:
        raise ValueError(f"patches of {patch} do not tile images of {height} x {image_width}")
    config = ViTConfig(
        image_size=height, patch_size=patch, num_channels=channels, hidden_size=width, num_attention_heads=heads,
        num_hidden_layers=layers, intermediate_size=4 * width, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout, num_labels=shapes.outputs, initializer_range=spread(width),
    )  # fmt: skip
    return ViTForImageClassification(config)


ARCHITECTURES = {"vit": vit}
