"""Ray Serve with batching."""

import os
import sys
import time

import ray
from benchmarks.peers.minilm import MiniLm
from ray import serve


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Embedder:
    def __init__(self):
        self.model = MiniLm()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def embed(self, texts):
        return self.model.embed(texts).tolist()

    async def __call__(self, request):
        return {"embedding": await self.embed((await request.json())["text"])}


if __name__ == "__main__":
    names = ("MINILM", "OMP_NUM_THREADS", "PYTHONPATH")
    ray.init(include_dashboard=False, runtime_env={"env_vars": {name: os.environ[name] for name in names}})
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Embedder.bind(), route_prefix="/embed")
    while True:
        time.sleep(60)
