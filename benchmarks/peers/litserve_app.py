"""LitServe with batching."""

import sys

import litserve
import torch
from benchmarks.peers.model import mlp


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = mlp()

    def decode_request(self, request):
        return request["data"]

    def batch(self, inputs):
        return torch.tensor(inputs)

    def predict(self, batch):
        with torch.inference_mode():
            return self.model(batch)

    def unbatch(self, output):
        return output.tolist()

    def encode_response(self, output):
        return {"probabilities": output}


if __name__ == "__main__":
    api = Api(max_batch_size=64, batch_timeout=0.001)
    litserve.LitServer(api, accelerator="cpu").run(port=int(sys.argv[1]), log_level="error", generate_client_file=False)
