"""What the peers on PyTorch share: turns for Lightning's loop, and scoring in batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.protocol import Encoder, Histories
from benchmarks.worker import Worker

# Of Lightning's `Trainer`: nothing but the loop.
BARE = {
    "max_epochs": -1,
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class LightningTurns:
    """Tells a worker about Lightning's loop, given what counts the targets of a batch.

    To be mixed with the `Callback` of `lightning` (RePlay) or of `pytorch_lightning` (RecTools).
    """

    def __init__(self, worker: Worker, targets: Callable[[Any], int]):
        self._worker, self._targets = worker, targets

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self._worker.begin_epoch()

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        self._worker.step(self._targets(batch))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self._worker.end_epoch()


def encode_in_batches(
    model: torch.nn.Module, states: Callable[[Histories], torch.Tensor], batch_size: int = 512
) -> Encoder:
    """Returns an encoder of whole splits from one of batches; the model is put into eval mode."""

    def encode(histories: Histories) -> np.ndarray:
        training = model.training
        model.eval()
        with torch.inference_mode():
            starts = range(0, len(histories), batch_size)
            parts = [states(histories[at : at + batch_size]).numpy() for at in starts]
        model.train(training)
        return np.concatenate(parts)

    return encode
