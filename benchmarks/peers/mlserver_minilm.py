"""MLServer with adaptive batching: the runtime, and the settings that its server reads."""

import json
import sys
from pathlib import Path

from benchmarks.peers.minilm import MiniLm
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse


class Embedder(MLModel):
    async def load(self) -> bool:
        self.embedder = MiniLm()
        return True

    async def predict(self, payload):
        texts = StringCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("embedding", self.embedder.embed(texts))
        return InferenceResponse(model_name=self.name, outputs=[output])


def settings(folder: Path, port: int) -> None:
    """Writes what `mlserver start FOLDER` reads."""
    server = {
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,
        "host": "127.0.0.1",
    }
    model = {"name": "minilm", "implementation": "benchmarks.peers.mlserver_minilm.Embedder",
             "max_batch_size": 32, "max_batch_time": 0.005}  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))


if __name__ == "__main__":
    settings(Path(sys.argv[2]), int(sys.argv[1]))
