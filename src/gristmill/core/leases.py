"""What a gateway and the controller say to each other of hard budgets, one frame a message.

The gateway's word on what it holds is the truth: a message that comes twice, or after one that was lost, does no harm,
and one that comes late, after a newer one, is not heard.
"""

from __future__ import annotations

import msgspec


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Of one budget, by one life of a gateway's process: what it was given so far, less what it gave back."""

    gateway: str
    life: str  # of the process: another one each time it starts
    tenant: str
    place: str
    currency: str
    number: int  # of the message: they count up
    held_micro: int
    wanted_micro: int = 0
    least_micro: int = 0  # less would answer no request that waits
    unit_micro: int = 1  # of one request: a slice is no fraction of one more
    ended: bool = False  # nothing is reserved from it any more


class Granted(msgspec.Struct, frozen=True):
    lease: str
    micro: int  # more than it held
    left_micro: int  # of the budget, for all gateways
