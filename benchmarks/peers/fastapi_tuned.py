"""FastAPI at its best: async route, raw bytes in, orjson both ways, two workers."""

import sys

import orjson
import torch
import uvicorn
from benchmarks.peers.model import mlp
from fastapi import FastAPI, Request, Response

app = FastAPI()
model = mlp()


@app.post("/predict")
async def predict(request: Request) -> Response:
    row = orjson.loads(await request.body())["data"]
    with torch.inference_mode():
        probabilities = model(torch.tensor([row]))[0].tolist()
    return Response(orjson.dumps({"probabilities": probabilities}), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.peers.fastapi_tuned:app", port=int(sys.argv[1]), workers=2, loop="uvloop", http="httptools",
        access_log=False, log_level="error",
    )  # fmt: skip
