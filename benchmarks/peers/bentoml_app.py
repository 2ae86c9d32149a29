"""BentoML with adaptive batching."""

import bentoml
import numpy as np
import torch
from benchmarks.peers.model import mlp


@bentoml.service(workers=1)
class Mlp:
    def __init__(self) -> None:
        self.model = mlp()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, data: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(torch.from_numpy(np.asarray(data, np.float32))).numpy()
