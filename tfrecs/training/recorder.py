"""`fit` with a run folder: checkpoints, history, resuming, and Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from tfrecs._keras import keras, tf
from tfrecs.data import EvaluationSet, Rows
from tfrecs.models import Model
from tfrecs.training.callbacks import BestWeights
from tfrecs.training.checkpoints import CheckpointError, Checkpoints
from tfrecs.training.history import Row, plot_history, write_history
from tfrecs.training.progress import EpochProgress
from tfrecs.training.runs import Run


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a training whose state is safe; the message says how to go on."""


class Recorder(keras.callbacks.Callback):
    """Writes what a run has reached at the end of each epoch: checkpoint, history and metrics.

    Args:
        run: Where to write.
        checkpoints: The checkpoints of the model.
        best: The callback that knows the best epoch; it comes before this one.
        facts: What metrics.json says besides, known before the training.

    Attributes:
        rows: Each epoch's values.
        seconds: Time spent in epochs, validation included, over all resumptions.
    """

    def __init__(
        self, run: Run, checkpoints: Checkpoints, best: BestWeights, facts: dict[str, Any]
    ) -> None:
        super().__init__()
        self.run = run
        self.checkpoints = checkpoints
        self.best = best
        self.facts = facts
        self.rows: list[Row] = []
        self.seconds = 0.0
        self._kept_for = 0

    @property
    def done(self) -> int:
        """How many epochs are done."""
        return len(self.rows)

    def save(self) -> None:
        """Writes a checkpoint of what is done."""
        state = {"rows": self.rows, "seconds": self.seconds, "best": self.best.get_state()}
        # Should this checkpoint get damaged, the one before it is taken up: its best epoch stays.
        self.checkpoints.save(self.done, state, keep={self.best.best_epoch, self._kept_for})
        self._kept_for = self.best.best_epoch

    def resume(self, model: Model, warn: Callable[[str], None]) -> None:
        """Takes up the newest usable checkpoint.

        Args:
            model: The model that is to have the checkpoint's weights.
            warn: Called with a message for each damaged checkpoint.

        Raises:
            CheckpointError: If none can be used.
        """
        done, state = self.checkpoints.restore_latest(warn)
        self.rows, self.seconds, best = state["rows"], state["seconds"], state["best"]
        weights = None
        if best["best_epoch"]:
            try:
                self.checkpoints.restore(best["best_epoch"])
                weights = model.get_weights()
            except CheckpointError as error:
                warn(
                    f"WARNING: the checkpoint of the best epoch cannot be used: {error}. "
                    f"The best epoch is now epoch {done} until a better one comes."
                )
                best = {"best": self.rows[-1][self.best.monitor], "best_epoch": done, "wait": 0}
            self.checkpoints.restore(done)
            weights = model.get_weights() if weights is None else weights
        self._kept_for = best["best_epoch"]
        self.best.set_state(best, weights)

    def metrics(self, **results: Any) -> dict[str, Any]:
        """What metrics.json says.

        Args:
            **results: "validation", "test" and "baselines", once they are known.
        """
        best = self.best.best_epoch
        reached = self.rows[best - 1] if best else {}
        validation = {k.removeprefix("val_"): v for k, v in reached.items() if "val_" in k}
        return {
            "model": self.facts["model"],
            "data": self.facts["data"],
            "protocol": self.facts["protocol"],
            "validation": results.get("validation", validation),
            "test": results.get("test", {}),
            "baselines": results.get("baselines", {}),
            "train_seconds": round(self.seconds, 3),
            "epochs": self.done,
            "best_epoch": best,
            "finished": bool(results),
            **self.facts,
        }

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Records the epoch."""
        self.seconds += time.perf_counter() - self._started
        rate = self.model.optimizer.learning_rate
        rate = rate(self.model.optimizer.iterations) if callable(rate) else rate
        row = {"epoch": epoch + 1, **(logs or {}), "learning_rate": keras.backend.get_value(rate)}
        self.rows.append({name: _number(value) for name, value in row.items()})
        self.save()
        write_history(self.run.folder / "history.csv", self.rows)
        self.run.write_metrics(self.metrics())


def fit(
    recorder: Recorder,
    model: Model,
    validation: EvaluationSet | Rows,
    batches: Callable[[int], tf.data.Dataset],
    *,
    epochs: int,
    targets: int,
    resume: bool,
    console: Console,
) -> None:
    """Trains a compiled model in a run folder, from the start or from where it was stopped.

    Afterwards the model has the weights of the best epoch.

    Args:
        recorder: Keeps the record of the run.
        model: The model, compiled.
        validation: What each epoch is validated on.
        batches: Gives the training batches from an epoch on.
        epochs: The most epochs.
        targets: Targets an epoch, for the speed that is shown.
        resume: Whether to go on from the newest checkpoint.
        console: Where to show progress.

    Raises:
        CheckpointError: If `resume` finds no usable checkpoint.
        Interrupted: On Ctrl-C. What is done is written, the model has the best weights so far.
    """
    run, best = recorder.run, recorder.best
    best.set_model(model)
    if resume and recorder.checkpoints.epochs():
        recorder.resume(model, console.print)
        console.print(f"resuming {run.folder} after epoch {recorder.done}")
    else:
        if resume:
            console.print(f"{run.folder} was stopped before its first checkpoint: starting over")
        recorder.save()
    if recorder.done >= epochs or best.stopped:
        best.restore()
        return
    dataset = batches(recorder.done)
    progress = EpochProgress(
        epochs,
        steps=len(dataset),
        targets=targets,
        monitor=best.monitor,
        mode=best.mode,
        console=console,
    )
    progress.best = best.best
    board = keras.callbacks.TensorBoard(str(run.folder / "tensorboard"), write_graph=False)
    try:
        model.fit(
            dataset,
            epochs=epochs,
            initial_epoch=recorder.done,
            validation_data=validation,
            callbacks=[progress, best, recorder, board],
            verbose=0,
        )
    except KeyboardInterrupt:
        best.restore()
        kept = f"{recorder.done} epoch{'' if recorder.done == 1 else 's'} kept"
        raise Interrupted(
            f"Stopped in epoch {recorder.done + 1} of {epochs}, {kept}. "
            f"Resume with: tfrecs train --resume {run.folder}"
        ) from None
    finally:
        progress.close()
        if recorder.rows:
            plot_history(
                run.folder / "training.png",
                recorder.rows,
                metric=best.monitor,
                best_epoch=best.best_epoch,
                title=f"{recorder.facts['model']} on {recorder.facts['data']}",
            )


def _number(value: Any) -> float:
    """A Python number: what JSON and CSV can hold."""
    return value if isinstance(value, int) else float(value)
