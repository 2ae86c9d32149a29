"""Integrated gradients of a token's log probability along the embeddings of its prompt (Sundararajan et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import Unprocessable
from gristmill.core.types import Resources
from gristmill.frameworks.on_torch.adapters import Adapted
from gristmill.frameworks.text_gradients import Owed, Way
from gristmill.frameworks.transformers.adapters import Adapters
from gristmill.frameworks.transformers.causal import load_causal

_PIECE_TOKENS = 256  # of one pass forward and back: what others' texts wait for
_PART_OF_MEMORY = 3  # beside the engine's weights, its keys and values, and what a pass keeps


class TransformersTextGradients:
    """See frameworks/text_gradients.TextGradients. In float32: an integral of rounded gradients does not add up."""

    def __init__(self, model: Any) -> None:
        self._model = model.requires_grad_(False)
        self._adapters = Adapters(model)
        self._embedded: Tensor = model.get_input_embeddings().weight

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> TransformersTextGradients:
        needed = 4 * manifest.parameters * _PART_OF_MEMORY
        if needed > resources.memory_bytes:
            raise Unprocessable(
                f"Gradients take a copy of the model in float32, and this replica's memory has no room for it: deploy "
                f"with --memory {-(-needed // 10**9)}GB, or ask for the method occlusion.", field="method",
            )  # fmt: skip
        torch.set_num_threads(max(1, int(resources.cores)))
        device = torch.device("cuda" if resources.gpus > 0 and torch.cuda.is_available() else "cpu")
        return cls(load_causal(bundle / "weights", torch.float32).to(device))

    def attribute(self, way: Way) -> Iterator[Owed | None]:
        """By Gauss and Legendre's points, as captum does. Only what stands before the token is computed."""
        tokens = [*way.prompt, *way.answer[: way.place]]
        end = self._embedded[torch.tensor(tokens)]
        moves = torch.zeros(len(tokens), dtype=torch.bool)
        moves[: len(way.prompt)] = torch.tensor(way.moves)
        begin = torch.where(moves[:, None].to(end.device), self._embedded[way.nothing], end)
        wanted, difference = way.answer[way.place], end - begin
        points, weights = (torch.tensor(given) for given in np.polynomial.legendre.leggauss(way.steps))
        owed = torch.zeros(len(tokens), dtype=torch.float64)
        adapted = [] if way.adapter is None else self._adapters.read(way.adapter)
        rows = max(1, _PIECE_TOKENS // len(tokens))
        for at, weight in zip(torch.split((points + 1) / 2, rows), torch.split(weights / 2, rows), strict=True):
            on_the_way = begin + at[:, None, None].to(end) * difference
            with self._with(adapted):
                gradients = self._gradients(on_the_way, wanted)
            owed += ((gradients * difference).sum(dim=2).double().cpu() * weight[:, None]).sum(dim=0)
            yield None
        with torch.no_grad(), self._with(adapted):
            gained = self._logprobs(torch.stack((end, begin)), wanted).double()
        yield Owed(owed[: len(way.prompt)].numpy(), float(owed.sum() - (gained[0] - gained[1]).cpu()))

    @contextmanager
    def _with(self, adapted: Sequence[Adapted]) -> Iterator[None]:
        """Layers compute with what an adapter adds to them."""
        with ExitStack() as hooks:
            for one in adapted:
                pair = (one.down.to(self._embedded), one.up.to(self._embedded))
                hooks.enter_context(one.module.register_forward_hook(partial(_add, *pair)))
            yield

    def _gradients(self, embedded: Tensor, wanted: int) -> Tensor:
        with torch.enable_grad():
            given = embedded.detach().requires_grad_()
            (gradients,) = torch.autograd.grad(self._logprobs(given, wanted).sum(), given)
        return gradients

    def _logprobs(self, embedded: Tensor, wanted: int) -> Tensor:
        """[rows, tokens, width] → [rows]: of the token that follows."""
        logits = self._model(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits[:, -1]
        return torch.log_softmax(logits.float(), dim=-1)[:, wanted]


def _add(down: Tensor, up: Tensor, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + inputs[0] @ down @ up
