"""LitServe with batching."""

import sys

import litserve
from benchmarks.peers.minilm import MiniLm


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = MiniLm()

    def decode_request(self, request):
        return request["text"]

    def batch(self, inputs):
        return inputs

    def predict(self, batch):
        return self.model.embed(batch)

    def unbatch(self, output):
        return output.tolist()

    def encode_response(self, output):
        return {"embedding": output}


if __name__ == "__main__":
    api = Api(max_batch_size=32, batch_timeout=0.005)
    litserve.LitServer(api, accelerator="cpu").run(port=int(sys.argv[1]), log_level="error", generate_client_file=False)
