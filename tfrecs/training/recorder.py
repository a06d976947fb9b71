"""The record of a run: checkpoints, history and metrics, from which a training is resumed."""

from __future__ import annotations

import importlib.metadata
import platform
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tfrecs import __version__
from tfrecs._keras import keras
from tfrecs.data import RowSplit, Split
from tfrecs.models import Model
from tfrecs.training.checkpoints import CheckpointError, Checkpoints, Position
from tfrecs.training.history import Row, write_history
from tfrecs.training.runs import Run, RunError
from tfrecs.training.sources import RunData
from tfrecs.training.stopping import BestWeights, Interrupted, StopSignals, Wish


class Recorder(keras.callbacks.Callback):
    """Writes the record of a run: checkpoints, and after each epoch history and metrics.

    Args:
        run: Where to write.
        checkpoints: The checkpoints of the model.
        best: The callback that knows the best epoch; it comes before this one.
        facts: Entries of metrics.json that are known before the training.
        data: Identifies the training data; a checkpoint of other data is refused.
        checkpoint_minutes: Minutes between two checkpoints within an epoch; None saves only at the
            ends of epochs.
        agree: Turns this process's wish into one for all processes that train together. Each calls
            it after the same steps.
        agree_every: The least number of batches between such calls, where a call costs as much as
            a step.
        folder: The folder that errors name, where it is not the run's.

    Attributes:
        rows: Each epoch's values.
        batch: How many batches of the next epoch are done.
        epochs: The largest number of epochs.
        steps: Batches of an epoch.
        seconds: Time spent in epochs, validation included, over all resumptions.
        stop: The signals that end the training, once `fit` listens to them.
    """

    # It reads no logs of batches: without this Keras would copy them from the device each time.
    _supports_tf_logs = True

    def __init__(
        self,
        run: Run,
        checkpoints: Checkpoints,
        best: BestWeights,
        facts: dict[str, Any],
        *,
        data: str = "",
        checkpoint_minutes: float | None = 10.0,
        agree: Callable[[Wish], Wish] = lambda wish: wish,
        agree_every: int = 1,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.run = run
        self.checkpoints = checkpoints
        self.best = best
        self.facts = facts
        self.data = data
        self.checkpoint_minutes = checkpoint_minutes
        self.agree = agree
        self.agree_every = agree_every
        self.folder = folder or run.folder
        self.rows: list[Row] = []
        self.batch = 0
        self.epochs = 0
        self.steps = 0
        self.seconds = 0.0
        self.stop = StopSignals()
        self._kept_for = 0
        # The time and the running sums of an epoch when it was stopped.
        self._within: dict[str, Any] = {"seconds": 0.0}
        self._saved = Position(0)

    @property
    def begun(self) -> bool:
        """Whether a run exists here, even a damaged one."""
        written = ("history.csv", "metrics.json")
        done = any((self.run.folder / name).exists() for name in written)
        return done or bool(self.checkpoints.positions())

    @property
    def done(self) -> int:
        """How many epochs are done."""
        return len(self.rows)

    @property
    def spent(self) -> float:
        """Seconds that a resumed epoch had taken when it was stopped."""
        return self._within["seconds"]

    def save(self) -> None:
        """Writes a checkpoint."""
        state = {
            "rows": self.rows,
            "seconds": self.seconds,
            "best": self.best.get_state(),
            "data": self.data,
            "within": None,
        }
        if self.batch:
            seconds = time.perf_counter() - self._started
            state["within"] = {"seconds": seconds, "sums": self.model.epoch_state()}
        # If this checkpoint is damaged, the one before it is taken up: its best epoch stays.
        keep = {self.best.best_epoch, self._kept_for}
        self.checkpoints.save(self.done, state, keep, batch=self.batch)
        self._kept_for = self.best.best_epoch
        self._saved = Position(self.done, self.batch)
        self._saved_at = time.monotonic()

    def resume(self, model: Model, warn: Callable[[str], None]) -> None:
        """Gives a model the newest usable checkpoint; `warn` is called for each damaged one.

        Raises:
            CheckpointError: If none can be used.
            RunError: If it is of other data.
        """
        position, state = self.checkpoints.restore_latest(warn)
        # Checkpoints of earlier versions know neither their data nor places within an epoch.
        if state.get("data", self.data) != self.data:
            raise RunError(
                f"{self.facts['data']} does not hold what {self.run.folder} was trained on: the "
                "data have changed. Train into another folder, or give the old data back."
            )
        self.rows, self.batch, self.seconds = state["rows"], position.batch, state["seconds"]
        # A process that was killed may have saved an epoch without writing this.
        if self.rows and not self.run.finished:
            write_history(self.run.folder / "history.csv", self.rows)
        if state.get("within"):
            self._within = state["within"]
            model.resume_epoch(self._within["sums"])
        best, weights = state["best"], None
        if best["best_epoch"]:
            weights = self._weights_of(model, best["best_epoch"], warn)
            if weights is None:
                # The last done epoch becomes the best one or, if it is lost too, the next epoch.
                best = {"best": None, "best_epoch": 0, "wait": 0}
                weights = self._weights_of(model, self.done, warn)
                if weights is not None:
                    value = self.rows[-1][self.best.monitor]
                    best = {"best": value, "best_epoch": self.done, "wait": 0}
                epoch = best["best_epoch"] or self.done + 1
                warn(f"The best epoch is now epoch {epoch} until a better one comes.")
            self.checkpoints.restore(*position)
        self._kept_for = best["best_epoch"]
        self._saved, self._saved_at = position, time.monotonic()
        self.best.set_state(best, weights)

    def _weights_of(
        self, model: Model, epoch: int, warn: Callable[[str], None]
    ) -> list[np.ndarray] | None:
        try:
            self.checkpoints.restore(epoch)
        except CheckpointError as error:
            warn(f"WARNING: the checkpoint of the best epoch cannot be used: {error}.")
            return None
        return model.get_weights()

    @property
    def place(self) -> str:
        """The place of the last checkpoint in the training, in words."""
        done, batch = self._saved
        if batch:
            return f"in epoch {done + 1} of {self.epochs}, after batch {batch} of {self.steps}"
        return f"{f'after epoch {done}' if done else 'before epoch 1'} of {self.epochs}"

    def metrics(self, **results: Any) -> dict[str, Any]:
        """Returns the content of metrics.json; the test's `results` go in once they are known."""
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
            "repeats": results.get("repeats", {}),
            **self.facts,
        }

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter() - self.spent
        self._agreed_at = self.batch
        self._within = {"seconds": 0.0}

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves within the epoch when that is due, and stops on a signal."""
        done = batch + 1
        if done == self.steps or done - self._agreed_at < self.agree_every:
            return  # The end of the epoch saves, and stops.
        self._agreed_at = done
        wish = self.agree(self._wish())
        if wish:
            self.batch = done
            self.save()
        if wish is Wish.STOP:
            self.end()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Records the epoch, and stops on a signal."""
        self.seconds += time.perf_counter() - self._started
        rate = self.model.optimizer.learning_rate
        rate = rate(self.model.optimizer.iterations) if callable(rate) else rate
        row = {"epoch": epoch + 1, **(logs or {}), "learning_rate": keras.backend.get_value(rate)}
        # Python's numbers: JSON and CSV hold no others.
        self.rows.append({n: x if isinstance(x, int) else float(x) for n, x in row.items()})
        self.batch = 0
        self.save()
        write_history(self.run.folder / "history.csv", self.rows)
        self.run.write_metrics(self.metrics())
        if self.agree(self._wish()) is Wish.STOP:
            self.end()

    def _wish(self) -> Wish:
        if self.stop.received is not None:
            return Wish.STOP
        minutes = self.checkpoint_minutes
        due = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        return Wish.SAVE if due else Wish.GO_ON

    def end(self) -> NoReturn:
        """Ends the training by raising `Interrupted`; all is saved."""
        # Without a signal here, another process got one, and all agreed to stop.
        raise Interrupted(self.stopped("Stopped"), self.stop.received or signal.SIGTERM)

    def stopped(self, how: str) -> str:
        """Returns a message that says where a training stopped, and how to resume it."""
        return (
            f"{how} {self.place}. Go on with it by the same command, or by: tfrecs train --resume "
            f"{self.folder}"
        )


def known_facts(model: Model, config: dict[str, Any], source: RunData) -> dict[str, Any]:
    """Returns the entries of metrics.json that are known before the training."""
    parts = source.parts
    packages = ("tfrecs", "tensorflow", "tf-keras", "tensorflow-recommenders", "numpy")
    return {
        "model": type(model).__name__,
        "data": source.name,
        "protocol": parts.protocol,
        "seed": config["seed"],
        "recommend_known": config["recommend_known"],
        "parameters": sum(int(weight.shape.num_elements()) for weight in model.trainable_weights),
        "num_users": len(parts.users),
        "num_items": len(parts.items),
        "num_interactions": source.num_interactions,
        "dropped": source.dropped,
        "counts": parts.counts,
        "trained_on_future": _trained_on_future(parts),
        "versions": {name: _version(name) for name in packages}
        | {"python": platform.python_version()},
    }


def _trained_on_future(parts: Split | RowSplit) -> dict[str, float]:
    """Returns how much of the training is later than the targets of each part, if times tell."""
    if isinstance(parts, RowSplit):
        return {}
    sets = {"validation": parts.validation, "test": parts.test}
    return {name: part.times.trained_on_future for name, part in sets.items() if part.times}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        # tfrecs may be used from its checkout.
        return __version__ if package == "tfrecs" else "unknown"
