from pathlib import Path

from tests.conftest import endpoint_state, write_recipe
from tests.running import Platform, eventually


def test_a_flipped_byte_in_stored_weights_is_refused_and_the_file_is_named(
    wine_platform: Platform, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path / "sealed.yaml", name="sealed", training={"epochs": 1})
    wine_platform.cli("train", str(recipe), "--watch")
    version = wine_platform.json("models", "show", "sealed@1")
    entry = version["manifest"]["files"]["weights/model.safetensors"]
    hexdigest = entry["sha256"].removeprefix("sha256:")
    blob = wine_platform.home / "blobs" / "sha256" / hexdigest[:2] / hexdigest
    sound = blob.read_bytes()
    broken = bytearray(sound)
    broken[len(broken) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(broken)
    try:
        verified = wine_platform.cli("models", "verify", "sealed@1", check=False)
        assert verified.returncode == 1
        assert "weights/model.safetensors" in verified.stderr
        deployed = wine_platform.cli("deploy", "sealed@1", "--endpoint", "wine-corrupt", check=False)
        if deployed.returncode == 0:
            eventually(lambda: endpoint_state(wine_platform, "wine-corrupt") == "failed", 20)
            shown = wine_platform.json("endpoints", "show", "wine-corrupt")
            assert "weights/model.safetensors" in shown["rollout"]["error"]
        else:
            assert "weights/model.safetensors" in deployed.stderr
        assert endpoint_state(wine_platform, "wine") == "ready"
    finally:
        blob.write_bytes(sound)
        wine_platform.cli("endpoints", "delete", "wine-corrupt", check=False)
    assert wine_platform.cli("models", "verify", "sealed@1").returncode == 0
