"""Linear layers over the same input as one: their weights stand one behind the other, and one product reads them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Part(nn.Linear):
    """A layer that a joint one computes, still found under its own name: adapters hook onto it."""

    def __init__(self, joint: Joint, linear: nn.Linear, start: int) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.columns = slice(start, start + linear.out_features)
        self._joint = (joint,)  # in a tuple, so that it is not this module's child

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """That of all parts."""
        return self._joint[0].whole.weight

    def hook(self, x: Tensor, output: Tensor) -> None:
        """What hooks add to the part's columns of `output`."""
        for hook in self._forward_hooks.values():
            hook(self, (x,), output[..., self.columns])


class Joint(nn.Module):
    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        """All with the same inputs, and all with a bias or none."""
        super().__init__()
        outputs, biased = sum(one.out_features for one in linears), linears[0].bias is not None
        self.whole = nn.Linear(linears[0].in_features, outputs, biased, device="meta")
        self.whole.weight = _joined([one.weight for one in linears])
        if biased:
            self.whole.bias = _joined([one.bias for one in linears])
        starts = [sum(one.out_features for one in linears[:number]) for number in range(len(linears))]
        self.parts = tuple(Part(self, one, start) for one, start in zip(linears, starts, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """[…, inputs] → […, outputs of all]."""
        output: Tensor = self.whole(x)
        for part in self.parts:
            if part._forward_hooks:
                part.hook(x, output)
        return output


def joins(linears: Sequence[nn.Module]) -> bool:
    """Whether they are plain linear layers that can be one."""
    plain = [one for one in linears if type(one) is nn.Linear]
    alike = {(one.in_features, one.bias is None, one.weight.dtype, one.weight.device) for one in plain}
    return len(plain) == len(linears) and len(alike) == 1


def _joined(tensors: Sequence[Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.cat([one.detach() for one in tensors]), requires_grad=False)
