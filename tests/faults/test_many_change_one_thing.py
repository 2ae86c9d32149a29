"""Thirty-two clients promote, deploy, roll back and delete at once: each is answered, what stands is whole."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gristmill.client.sync import Client
from gristmill.core.errors import Conflict, GristmillError, NotFound
from tests.conftest import endpoint_state
from tests.running import Load, Platform, eventually

CLIENTS = 32
EACH = 3
CHANGES: tuple[Callable[[Client, int], Any], ...] = (
    lambda client, version: client.models.set_alias("wine", "raced", version),
    lambda client, _: client.models.remove_alias("wine", "raced"),
    lambda client, version: client.endpoints.deploy(f"wine@{version}", endpoint="raced"),
    lambda client, _: client.endpoints.rollback("raced"),
    lambda client, _: client.endpoints.delete("raced"),
)


def test_racing_changes_are_won_or_refused_and_the_last_state_is_whole(
    wine_platform: Platform, wine_rows: list[list[float]]
) -> None:
    begin = threading.Barrier(CLIENTS)
    moves: list[int | None] = []

    def change(seed: int) -> list[GristmillError]:
        chance, refused = random.Random(seed), []
        with wine_platform.client() as client:
            begin.wait(20)
            for _ in range(EACH):
                try:
                    done = chance.choice(CHANGES)(client, chance.choice((1, 2)))
                except GristmillError as error:
                    refused.append(error)
                else:
                    moves.extend([done["version"]] if done.get("alias") == "raced" else [])
        return refused

    with Load(wine_platform, "wine", wine_rows, clients=1) as load:
        with ThreadPoolExecutor(CLIENTS) as pool:
            refused = [error for errors in pool.map(change, range(CLIENTS)) for error in errors]
        assert {type(error) for error in refused} <= {Conflict, NotFound}, refused
    assert (load.failures, load.broken) == ([], 0)
    with wine_platform.client() as client:
        history = [move["version"] for move in client.models.aliases("wine")["history"] if move["alias"] == "raced"]
        named = client.models.aliases("wine")["aliases"].get("raced")
    assert sorted(map(str, history)) == sorted(map(str, moves))  # every answered move happened, none other did
    assert named == history[-1]
    wine_platform.cli("endpoints", "delete", "raced", check=False)
    eventually(lambda: "raced" not in str(wine_platform.json("endpoints", "list")), 20, "it does not go")
    assert endpoint_state(wine_platform, "wine") == "ready"
