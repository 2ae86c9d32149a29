"""MiniLM as every peer serves it: sentence-transformers over a batch."""

import os

import torch
from sentence_transformers import SentenceTransformer


class MiniLm:
    def __init__(self):
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.model = SentenceTransformer(os.environ["MINILM"], device="cpu")

    def embed(self, texts):
        """float32 [N, 384]."""
        return self.model.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
