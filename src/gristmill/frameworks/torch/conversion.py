"""A PyTorch pickle into safetensors: its tensors by name, and nothing else of it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gristmill.core.errors import CorruptBundle, Unprocessable

# Where training scripts put the weights among other things, in the order in which they are looked for.
_INSIDE = ("state_dict", "model_state_dict", "model", "module", "net", "params", "ema_state_dict")
_PARALLEL = "module."  # what DataParallel puts before every name


class TorchConverter:
    """See frameworks/importing.Converter."""

    sources = (".pt", ".pth", ".bin", ".ckpt")
    target = ".safetensors"

    def convert(self, source: Path, target: Path, trust_code: bool) -> int:
        from safetensors.torch import save_file

        tensors = _tensors(_loaded(source, trust_code))
        if not tensors:
            raise Unprocessable(f"{source.name} holds no tensors by name.", field="source")
        if all(name.startswith(_PARALLEL) for name in tensors):
            tensors = {name.removeprefix(_PARALLEL): tensor for name, tensor in tensors.items()}
        # safetensors takes no shared memory: tied weights are written once for each name
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, target)
        return len(tensors)


def _loaded(source: Path, trust_code: bool) -> Any:
    import torch

    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not trust_code:
            raise Unprocessable(
                f"{source.name} holds more than tensors, and its code would run: add --trust-code if you trust where "
                "it comes from.", field="source",
            ) from None  # fmt: skip
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CorruptBundle(f"{source.name} is not a file that PyTorch can read.", file=source.name) from error
    try:
        return torch.load(source, map_location="cpu", weights_only=False)
    except Exception as error:  # the file's own code may raise anything
        raise Unprocessable(f"{source.name} cannot be unpickled here: {type(error).__name__}; its own modules may be "
                            "missing: save its state_dict where they are.", field="source") from error  # fmt: skip


def _tensors(loaded: Any) -> dict[str, Any]:
    import torch

    if isinstance(loaded, torch.nn.Module):
        return dict(loaded.state_dict())
    if not isinstance(loaded, Mapping):
        return {}
    for name in _INSIDE:
        inner = loaded.get(name)
        if isinstance(inner, Mapping | torch.nn.Module):
            return _tensors(inner)
    return {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
