"""A bundle's weights back into its architecture. Only tensors are read: nothing of the file runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle
from gristmill.frameworks.torch.architectures.shapes import Shapes, build, laid_out

FILE = "weights/model.safetensors"


def load_weights(bundle: Path, manifest: Manifest) -> nn.Module:
    """The module in evaluation mode. Raises CorruptBundle when the weights are not those of the architecture."""
    architecture = dict(manifest.architecture)
    try:
        shapes = msgspec.convert(architecture.pop("shapes"), Shapes)
        module = build(manifest.task, architecture, shapes)
        module.load_state_dict(load_file(bundle / FILE))
    except (SafetensorError, OSError, KeyError, msgspec.ValidationError) as error:
        raise CorruptBundle(f"{FILE} cannot be read as weights: {type(error).__name__}.", file=FILE) from error
    except RuntimeError as error:
        name = architecture.get("name")
        raise CorruptBundle(f"{FILE} does not hold the weights of the architecture {name!r}.", file=FILE) from error
    return laid_out(module).eval()
