"""What an epoch sums up as it goes: judged at its end, and kept over a stop within it."""

from __future__ import annotations

import warnings
from typing import Any

from tfrecs._keras import keras


class EpochSums(keras.callbacks.Callback):
    """The sums of the epoch in training: its metrics, and its steps with non-finite gradients.

    They begin with every epoch, so a checkpoint within one needs them beside the weights: the mean
    loss and the warning at the end of the epoch are then those of the whole epoch. `Model.fit` puts
    it first among the callbacks.

    Attributes:
        first_batch: The batch that the epoch begins with; not 0 where a training is resumed within
            an epoch.
    """

    # Reads no logs: without this Keras would copy them from the device after every batch.
    _supports_tf_logs = True

    def __init__(self) -> None:
        super().__init__()
        self.first_batch = 0
        self._nonfinite_before = 0
        self._resumed: dict[str, Any] | None = None

    def get_state(self, model: Any) -> dict[str, Any]:
        """Returns the sums so far: plain numbers, exact in JSON."""
        return {
            "metrics": [[x.numpy().tolist() for x in m.variables] for m in model.metrics],
            "nonfinite_before": self._nonfinite_before,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up what `get_state` returned, when the next epoch begins."""
        self._resumed = state

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts from zero, or restores the sums of a resumed epoch, which Keras has just reset."""
        self._steps = 0
        self._nonfinite_before = int(self.model.nonfinite_steps.numpy())
        state, self._resumed = self._resumed, None
        if state is not None and self.first_batch:
            self._nonfinite_before = state["nonfinite_before"]
            for metric, values in zip(self.model.metrics, state["metrics"], strict=True):
                for variable, value in zip(metric.variables, values, strict=True):
                    variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the steps."""
        self._steps = batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Says how many steps had non-finite gradients."""
        self.first_batch = 0
        new = int(self.model.nonfinite_steps.numpy()) - self._nonfinite_before
        if not new:
            return
        message = f"{new} of the {self._steps} steps of epoch {epoch + 1} had non-finite gradients"
        if new == self._steps:
            raise FloatingPointError(
                f"{message}: the training cannot go on. Lower the learning rate or look for "
                "non-finite features; the weights are those before the first of these steps."
            )
        warnings.warn(f"{message}, which were replaced by zeros.", RuntimeWarning, stacklevel=2)
