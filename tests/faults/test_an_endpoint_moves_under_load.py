from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import endpoint_state
from tests.running import Load, Platform, eventually


@pytest.mark.parametrize("strategy", ["rolling", "blue-green"])
def test_an_endpoint_moves_between_versions_and_back_without_a_failed_request(
    wine_platform: Platform, wine_rows: list[list[float]], strategy: str
) -> None:
    with Load(wine_platform, "wine", wine_rows) as load:
        eventually(lambda: load.models["wine@1"] > 20, 20)
        for version in ("wine@2", "wine@1"):
            wine_platform.cli("deploy", version, "--endpoint", "wine", "--strategy", strategy, "--replicas", "2")
            eventually(lambda: endpoint_state(wine_platform, "wine") == "ready", 60)
            seen = load.models[version]
            eventually(
                lambda version=version, seen=seen: load.models[version] > seen + 20, 30, f"{version} does not answer"
            )
    assert load.failures == []
    assert load.broken == 0


def test_of_two_deploys_at_once_one_wins_and_the_other_is_told(wine_platform: Platform) -> None:
    def deploy(version: str) -> tuple[int, str]:
        ended = wine_platform.cli("deploy", version, "--endpoint", "contested", check=False)
        return ended.returncode, ended.stderr

    try:
        with ThreadPoolExecutor(2) as pool:
            outcomes = sorted(pool.map(deploy, ["wine@1", "wine@2"]))
        assert [status for status, _ in outcomes] == [0, 1]
        assert "rollout" in outcomes[1][1]
        eventually(lambda: endpoint_state(wine_platform, "contested") == "ready", 40)
    finally:
        wine_platform.cli("endpoints", "delete", "contested", check=False)
