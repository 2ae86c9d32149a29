"""The same MLP for every peer: 30-64-64-3, one torch thread."""

import torch

torch.set_num_threads(1)
FEATURES = 30


def mlp() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(FEATURES, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(64, 3), torch.nn.Softmax(dim=1)).eval()
