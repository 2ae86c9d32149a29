"""FastAPI as its tutorial has it: a pydantic body, a sync route, the model in the process."""

import sys

import torch
import uvicorn
from benchmarks.peers.model import mlp
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = mlp()


class Body(BaseModel):
    data: list[float]


@app.post("/predict")
def predict(body: Body) -> dict[str, list[float]]:
    with torch.inference_mode():
        return {"probabilities": model(torch.tensor([body.data]))[0].tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
