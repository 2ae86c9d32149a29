"""LoRA adapters on a model of Transformers: its linear layers by the names that PEFT knows them by."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from gristmill.frameworks.lora import LowRank, read_lora
from gristmill.frameworks.on_torch import adapters
from gristmill.frameworks.on_torch.adapters import Adapted, check_sizes, matrices, not_adapted, not_there


class Adapters(adapters.Adapters):
    """Those on one model, by name."""

    def __init__(self, model: nn.Module) -> None:
        parameter = next(model.parameters())
        super().__init__(parameter.device, parameter.dtype)
        self._model = model

    def read(self, folder: Path) -> list[Adapted]:
        layers = read_lora(folder)
        modules = {layer: self._fitting(layer) for layer in layers}
        return [Adapted(layer.module, modules[layer], down, up) for layer, down, up in matrices(folder, layers)]

    def _fitting(self, layer: LowRank) -> nn.Linear:
        try:
            module = self._model.get_submodule(layer.module)
        except AttributeError:
            raise not_there(layer) from None
        output = getattr(self._model, "get_output_embeddings", lambda: None)()
        if not isinstance(module, nn.Linear) or module is output:
            raise not_adapted(layer)
        check_sizes(layer, module.in_features, module.out_features)
        return module
