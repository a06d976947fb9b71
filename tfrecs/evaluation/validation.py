"""Metrics of a validation part in the logs of each epoch of a Keras training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer
from tfrecs.data import EvaluationSet, Rows
from tfrecs.evaluation.evaluator import Evaluator
from tfrecs.evaluation.metrics import check_metrics
from tfrecs.evaluation.rows import evaluate_rows
from tfrecs.evaluation.workers import from_chief


class Validation(keras.callbacks.Callback):
    """Puts the metrics of a part of a split into each epoch's logs, such as "val_NDCG@10".

    For rows with labels these are "val_AUC" and "val_LogLoss", for a number "val_RMSE" and
    "val_MAE", and for several heads "val_click/AUC" and so on.

    It stands first in the list of callbacks: later ones, Keras's progress bar and its history then
    see the metrics as they see "val_loss". `tfrecs.models.Model.fit` puts it there itself when its
    `validation_data` is a part of a split.

    It runs on the first epoch, on every `every`-th and on the last. In between the logs repeat the
    latest values: early stopping still counts epochs, and a repeated value is never a new best one.
    Of several workers the chief evaluates, and the others get its values.

    Args:
        dataset: The users, or the rows with labels, to validate on.
        ks: Lengths of the recommended lists; like `metrics` and `recommend_known` for users only.
        every: Run on epochs `every`, 2 `every`, ..., counted from 1.
        prefix: Beginning of the names in the logs.
        metrics: Of "HR", "NDCG", "MRR", "MAP", "Recall", "Precision".
        recommend_known: Whether known items may be recommended; None as the set says.
        batch_size: Users scored at once, or rows; None chooses.

    Raises:
        ValueError: If `every` is below 1 or a metric is unknown.

    Example:
        ```python
        validation = tfrecs.evaluation.Validation(split.validation, ks=(10, 20), every=2)
        stopping = keras.callbacks.EarlyStopping("val_NDCG@10", mode="max", patience=6)
        model.fit(batches, epochs=50, callbacks=[validation, stopping])
        ```
    """

    def __init__(
        self,
        dataset: EvaluationSet | Rows,
        ks: Sequence[int] = (10,),
        every: int = 1,
        prefix: str = "val_",
        *,
        metrics: Sequence[str] = ("HR", "NDCG"),
        recommend_known: bool | None = None,
        batch_size: int | None = None,
    ) -> None:
        super().__init__()
        check_integer("every", every, least=1)
        check_metrics(metrics)
        self._measure: Callable[[Any], dict[str, float]]
        if isinstance(dataset, Rows):
            rows, size = dataset, batch_size or 4096
            self._measure = lambda model: evaluate_rows(model, rows, batch_size=size).metrics
        else:
            evaluator = Evaluator(
                dataset, ks, recommend_known=recommend_known, batch_size=batch_size
            )
            self._measure = lambda model: evaluator.metrics(model, metrics)
        self.every = every
        self.prefix = prefix
        self._latest: dict[str, float] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forgets the values of an earlier training."""
        self._latest = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Validates where it is due and adds the values to the logs."""
        last = epoch + 1 == (self.params or {}).get("epochs")
        if not self._latest or (epoch + 1) % self.every == 0 or last:
            strategy = tf.distribute.get_strategy()
            metrics = from_chief(strategy, lambda: self._measure(self.model))
            self._latest = {self.prefix + name: value for name, value in metrics.items()}
        if logs is not None:
            logs.update(self._latest)
