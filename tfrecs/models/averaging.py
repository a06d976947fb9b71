"""Averaged weights: what validation, checkpoints and exports see of an optimizer that averages."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras


class AveragedWeights(keras.callbacks.Callback):
    """Gives a model the averages of its weights between two epochs of training.

    An optimizer with `use_ema=True` keeps an exponential moving average of each weight (Polyak and
    Juditsky, 1992), which generalises better than the weights themselves as long as the learning
    rate is not small. Keras puts the averages into the model when the training ends, too late for
    the validation that chooses the best epoch. Here each epoch ends with an exchange: validation
    and all later callbacks see the averages, the optimizer keeps the weights that train, and a
    checkpoint has both. The next epoch begins with the exchange back. `tfrecs.models.Model.fit`
    adds this callback itself.

    Example:
        ```python
        model.compile(tfrecs.optimizers.Adam(use_ema=True, ema_momentum=0.99))
        model.fit(batches, epochs=20, validation_data=split.validation)
        ```
    """

    # Reads no logs: without this Keras would copy them from the device after every batch.
    _supports_tf_logs = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Gives the model the weights that train, unless it has them: in a resumed epoch."""
        if not getattr(self.model, "first_batch", 0):
            self._exchange()
        self._optimizer.use_ema = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Gives the model the averages."""
        self._exchange()
        # Keras's `fit` would otherwise end with what the optimizer keeps now.
        self._optimizer.use_ema = False

    def on_train_end(self, logs: Any = None) -> None:
        """Lets the optimizer average again in a further training."""
        self._optimizer.use_ema = True

    @property
    def _optimizer(self) -> Any:
        return inner_optimizer(self.model)

    def _exchange(self) -> None:
        averages = getattr(self._optimizer, "_model_variables_moving_average", [])
        # None before the first step, where an optimizer is built late.
        for weight, average in zip(self.model.trainable_variables, averages, strict=False):
            kept = weight.numpy()
            weight.assign(average)
            average.assign(kept)


def inner_optimizer(model: keras.Model) -> Any:
    """Returns a model's optimizer, without one that scales losses around it."""
    optimizer = getattr(model, "optimizer", None)
    return getattr(optimizer, "inner_optimizer", optimizer)
