"""SASRec in plain PyTorch, on the shapes of `benchmarks.gpu`: what a user would write instead.

Two blocks and two heads, tied item vectors, fused attention, Adam. It needs PyTorch and no tfrecs.
"""

import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional

_HEADS, _BLOCKS, _DROPOUT = 2, 2, 0.2


class Block(nn.Module):
    """Causal attention and a feed-forward layer, each after a layer norm."""

    def __init__(self, dim: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim, 1e-8) for _ in range(2))
        self.queries, self.keys, self.values, self.out, self.up, self.down = (
            nn.Linear(dim, dim) for _ in range(6)
        )
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norms[0](x)
        inputs = ((self.queries, normed), (self.keys, x), (self.values, x))
        heads = [layer(y).unflatten(-1, (_HEADS, -1)).transpose(1, 2) for layer, y in inputs]
        attended = functional.scaled_dot_product_attention(
            *heads, is_causal=True, dropout_p=_DROPOUT
        )
        y = self.norms[1](normed + self.out(attended.transpose(1, 2).flatten(2)))
        hidden = self.dropout(functional.relu(self.up(y)))
        return y + self.dropout(self.down(hidden))


class SASRec(nn.Module):
    """Gives the mean loss of a batch: over all items, or over negatives that the batch shares."""

    def __init__(self, items: int, dim: int, length: int, negatives: int | None):
        super().__init__()
        self.items, self.negatives, self.scale = items, negatives, dim**0.5
        self.vectors = nn.Embedding(items + 1, dim)
        self.positions = nn.Parameter(0.02 * torch.randn(length, dim))
        nn.init.normal_(self.vectors.weight, std=0.02)
        self.blocks = nn.Sequential(*(Block(dim) for _ in range(_BLOCKS)))
        self.norm, self.dropout = nn.LayerNorm(dim, 1e-8), nn.Dropout(_DROPOUT)

    def forward(self, history: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        x = self.dropout(self.vectors(history) * self.scale + self.positions)
        queries, target = self.norm(self.blocks(x)).flatten(0, 1), target.flatten()
        if self.negatives is None:
            scores = queries @ self.vectors.weight.t()
            return functional.cross_entropy(scores.float(), target)
        drawn = torch.randint(1, self.items + 1, (self.negatives,), device=target.device)
        scores = (queries @ self.vectors(drawn).to(queries.dtype).t()).float()
        scores = scores.masked_fill(drawn == target[:, None], -torch.inf)
        own = (queries * self.vectors(target)).sum(-1, keepdim=True).float()
        return functional.cross_entropy(torch.cat([own, scores], 1), torch.zeros_like(target))


def steps(shape: dict[str, Any], mode: str) -> dict[str, Any]:
    """Trains on one full batch; returns seconds of the first step and of a later one, and GiB.

    Args:
        shape: A `benchmarks.gpu.Shape`.
        mode: "eager" or "compiled"; products of float32 are TF32, as TensorFlow's are.
    """
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    items, batch, length = shape["items"], shape["batch"], shape["length"]
    histories = torch.randint(1, items + 1, (batch, length + 1), device=device)
    model = SASRec(items, shape["dim"], length, shape["negatives"]).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=device == "cuda")
    forward = torch.compile(model) if mode == "compiled" else model

    def train(number: int) -> float:
        begun = time.perf_counter()
        for _ in range(number):
            loss = forward(histories[:, :-1], histories[:, 1:])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        loss.item()  # Waits for the device.
        return time.perf_counter() - begun

    first = train(2)
    seconds = min(train(shape["steps"]) for _ in range(2)) / shape["steps"]
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    versions = {"torch": torch.__version__}
    return {"first": first, "seconds": seconds, "gib": peak, "versions": versions}
