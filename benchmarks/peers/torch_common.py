"""What the peers on PyTorch share: turns for Lightning's loop, and scoring in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.protocol import Encoder, Histories
from benchmarks.worker import Worker


class LightningTurns:
    """What a Lightning callback needs to tell a `Worker` about the loop.

    To be mixed with the `Callback` of `lightning` (RePlay) or of `pytorch_lightning` (RecTools).

    Args:
        worker: Whom to tell.
        count: Targets of a batch.
    """

    def __init__(self, worker: Worker, count: Callable[[Any], int]):
        self._worker, self._count = worker, count

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Starts the clock."""
        self._worker.begin_epoch()

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        """Counts a step."""
        self._worker.step(self._count(batch))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Ends the epoch."""
        self._worker.end_epoch()


def encode_in_batches(
    model: torch.nn.Module, states: Callable[[Histories], torch.Tensor], *, batch_size: int = 512
) -> Encoder:
    """Makes an encoder of whole splits.

    Args:
        model: Put into evaluation mode meanwhile.
        states: Histories to states, one batch at a time.
        batch_size: Histories at a time.

    Returns:
        The encoder.
    """

    def encode(histories: Histories) -> np.ndarray:
        training = model.training
        model.eval()
        with torch.inference_mode():
            parts = [
                states(histories[start : start + batch_size]).numpy()
                for start in range(0, len(histories), batch_size)
            ]
        model.train(training)
        return np.concatenate(parts)

    return encode
