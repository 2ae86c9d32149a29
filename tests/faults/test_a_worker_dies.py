import signal

from tests.running import Load, Platform, eventually


def test_kill_9_of_a_worker_under_load_fails_no_request_and_it_comes_back(
    wine_platform: Platform, wine_rows: list[list[float]]
) -> None:
    with Load(wine_platform, "wine", wine_rows) as load:
        eventually(lambda: len(load.answered) > 50, 20)
        for folder in wine_platform.replicas("wine"):
            killed = wine_platform.kill(folder)
            eventually(
                lambda folder=folder, killed=killed: _ready_again(wine_platform, folder, killed),
                30,
                "the replica is not back",
            )
            before = len(load.answered)
            eventually(lambda before=before: len(load.answered) > before + 20, 30)
        assert load.failures == []
    assert load.broken == 0


def test_a_hung_worker_is_noticed_and_replaced(wine_platform: Platform, wine_rows: list[list[float]]) -> None:
    with Load(wine_platform, "wine", wine_rows) as load:
        eventually(lambda: len(load.answered) > 20, 20)
        folder = wine_platform.replicas("wine")[0]
        hung = wine_platform.kill(folder, signal.SIGSTOP)
        eventually(lambda: _ready_again(wine_platform, folder, hung), 20, "the hung replica was not replaced")
    assert load.failures == []


def _ready_again(running: Platform, folder: str, old_pid: int) -> bool:
    replicas = running.client().endpoints.get("wine")["replicas"]
    replica = next(replica for replica in replicas if folder.endswith(replica["id"]))
    return folder in running.folders("replicas") and running.pid_of(folder) != old_pid and replica["state"] == "ready"
