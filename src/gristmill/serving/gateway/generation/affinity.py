"""Which replica has seen how a prompt begins: there its keys and values need not be computed again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from gristmill.core.generation import GenerationRequest

_BLOCK_BYTES = 256
_REMEMBERED = 4096  # blocks a replica


def blocks(asked: GenerationRequest) -> tuple[int, ...]:
    """A number for each whole block of the prompt's beginning; it stands for all before it too."""
    if isinstance(asked.prompt, str):
        data = asked.prompt.encode()
    else:
        data = msgspec.json.encode([asked.tools, asked.messages] if asked.messages is not None else asked.prompt)
    found, chain = [], hash(asked.adapter)
    for start in range(0, len(data) - _BLOCK_BYTES + 1, _BLOCK_BYTES):
        chain = hash((chain, data[start : start + _BLOCK_BYTES]))
        found.append(chain)
    return tuple(found)


class Seen:
    """The blocks that one replica has computed lately."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def add(self, chain: Sequence[int]) -> None:
        for block in chain:
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        while len(self._blocks) > _REMEMBERED:
            self._blocks.popitem(last=False)

    def leading(self, chain: Sequence[int]) -> int:
        """How many of `chain`'s first blocks it has."""
        for count, block in enumerate(chain):
            if block not in self._blocks:
                return count
        return len(chain)
