"""BentoML with adaptive batching."""

import bentoml
import numpy as np
from benchmarks.peers.minilm import MiniLm


@bentoml.service(workers=1, traffic={"timeout": 60})
class Embedder:
    def __init__(self) -> None:
        self.model = MiniLm()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)
    def embed(self, texts: list[str]) -> np.ndarray:
        return self.model.embed(texts)
