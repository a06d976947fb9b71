"""The folder that a training leaves, and how to take it up again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tfrecs._keras import keras, tf
from tfrecs.configured import built
from tfrecs.data import RowSplit, Split, Vocabulary
from tfrecs.models import Model
from tfrecs.training.allowed import read_model_config, read_settings
from tfrecs.training.checkpoints import CheckpointError, Checkpoints
from tfrecs.training.history import write_atomically
from tfrecs.training.sources import EVENTS, DataError, fingerprint, load_source

# Settings that may differ when a run is resumed: they do not change its result.
FREE = ("checkpoint_minutes", "steps_per_execution")

_NONE = type(None)
# The types of settings that are read from a config.yaml again; an absent setting is None.
_KINDS: dict[str, tuple[type, ...]] = {
    "data": (str,),
    "data_args": (dict, _NONE),
    "k_core": (int, _NONE),
    "split": (str, _NONE),
    "split_args": (dict, _NONE),
    "recommend_known": (bool, _NONE),
    "model": (dict,),
}


class RunError(ValueError):
    """A run that cannot be done as asked; the message is one line."""


@contextlib.contextmanager
def run_errors() -> Iterator[None]:
    """Turns errors in a run's data and settings into a `RunError`."""
    try:
        yield
    except (RunError, DataError):
        raise
    except (ValueError, OSError) as error:
        raise RunError(str(error)) from error


class Run:
    """A folder that `tfrecs.train` wrote.

    ```
    config.yaml     all settings: `tfrecs train --config config.yaml --output elsewhere` repeats it
    model.json      the model without its weights: arguments, vocabularies, schemas
    metrics.json    validation and test metrics, baselines, times, versions
    history.csv     each epoch's loss, validation metrics and speed
    training.png    the same as a picture
    checkpoints/    the last two, and the best epoch's
    tensorboard/    logs for `tensorboard --logdir`
    ```

    Args:
        folder: The folder; the attribute is a `Path`.

    Example:
        ```python
        run = tfrecs.training.Run("runs/first")
        report = tfrecs.evaluate(run.load_model(), run.load_split().test)
        ```
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    @property
    def exists(self) -> bool:
        """Whether a training has begun in the folder."""
        return (self.folder / "config.yaml").is_file()

    @property
    def finished(self) -> bool:
        """Whether the training has ended and been tested."""
        return bool(self.metrics.get("finished"))

    @property
    def config(self) -> dict[str, Any]:
        """All settings, as `train` takes them; a `RunError` if the folder holds no run."""
        path = self.folder / "config.yaml"
        if not self.folder.is_dir():
            raise RunError(f"There is no folder {self.folder}.")
        if not path.is_file():
            raise RunError(f"{self.folder} holds no run: it has no config.yaml.")
        with run_errors():
            config = read_settings(path)
        if not isinstance(config, dict) or not {"data", "model"} <= set(config):
            raise RunError(f"{path} is not the config.yaml of a run.")
        for name, kinds in _KINDS.items():
            if not isinstance(config.get(name), kinds):
                raise RunError(f"{path}: {name} can not be {config.get(name)!r:.80}.")
        return config

    @property
    def recommend_known(self) -> bool:
        """Whether items that a user already has may be recommended; of older runs False."""
        return bool(self.config.get("recommend_known", False))

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json, empty before epoch 1 ends; a `RunError` if it is damaged."""
        path = self.folder / "metrics.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise RunError(
                f"{path} cannot be read: {error}. Remove it: `tfrecs train --resume {self.folder}` "
                "writes it again."
            ) from error

    @property
    def is_free(self) -> bool:
        """Whether the folder is absent, empty, or of a run that never began."""
        if not self.folder.exists():
            return True
        # A process that was killed in `begin` leaves such files.
        left = {"model.json", ".model.json-tmp", ".config.yaml-tmp"}
        return self.folder.is_dir() and {path.name for path in self.folder.iterdir()} <= left

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from training in the folder; the lock of a dead one is gone.

        The folder is made if it is absent, and removed again if it stays empty.

        Raises:
            RunError: If another process holds the lock, or the folder is a file.
        """
        made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        if self.folder.exists() and not self.folder.is_dir():
            raise RunError(f"{self.folder} is a file: name another output folder.")
        descriptor = None
        try:
            descriptor = self._lock()
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)
            for path in made:
                with contextlib.suppress(OSError):  # It is not empty, or gone already.
                    path.rmdir()

    def _lock(self) -> int | None:
        """Returns the open folder, locked; None where there are no such locks."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                import fcntl
            except ImportError:  # Windows has no locks of this kind.
                return None
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(descriptor)
                raise RunError(f"Another process is training in {self.folder}.") from error
            except OSError:  # Some file systems, such as NFS, lock no folders.
                return descriptor
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), self.folder.stat()):
                    return descriptor
            os.close(descriptor)  # The process that made it removed it before the lock.

    def begin(self, config: dict[str, Any], model: Model) -> None:
        """Makes the folder, with the settings and the model, from which the run can be resumed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(model.description(), ensure_ascii=False)
        write_atomically(self.folder / "model.json", text + "\n")
        # Written last: with it the run has begun.
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        write_atomically(self.folder / "config.yaml", text)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Writes metrics.json."""
        text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self.folder / "metrics.json", text)

    def checkpoints(self, model: Model) -> Checkpoints:
        """Returns the checkpoints of the run, for a model built as its config says."""
        return Checkpoints(self.folder / "checkpoints", model, self._identity())

    def _identity(self) -> str:
        """Returns a hash of the settings and the model that a checkpoint belongs to.

        It leaves out the path of the data, which may move: a checkpoint knows the data themselves.
        """
        config = {name: x for name, x in self.config.items() if name not in (*FREE, "data")}
        text = json.dumps([config, self._model_config()], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def load_items(self) -> Vocabulary:
        """Returns the vocabulary of items that the model was trained with."""
        path = self.folder / "model.json"
        items = self._model_config()["config"].get("items")
        try:
            vocabulary = built(items)
        except (TypeError, ValueError, OSError) as error:
            raise RunError(f"{path} names no items: {error}") from error
        if not isinstance(vocabulary, Vocabulary):
            raise RunError(f"{path} names no items.")
        return vocabulary

    def _model_config(self) -> dict[str, Any]:
        path = self.folder / "model.json"
        if self.config and not path.is_file():  # Without a config.yaml there is no run.
            raise RunError(f"{self.folder} is not whole: model.json is missing.")
        with run_errors():
            config = read_model_config(path)
        if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
            raise RunError(f"{path} is not the model.json of a run.")
        return config

    def load_model(self) -> Model:
        """Returns the trained model, not compiled, with the weights of its best epoch.

        Raises:
            RunError: If the folder holds no run, or one whose first epoch is not yet done.
            CheckpointError: If the checkpoint is damaged or missing.
        """
        with run_errors():
            try:
                model = keras.utils.deserialize_keras_object(self._model_config())
            except (TypeError, KeyError, AttributeError, tf.errors.OpError, MemoryError) as error:
                raise RunError(
                    f"{self.folder / 'model.json'} describes no model that can be made: "
                    f"{type(error).__name__}: {error}"
                ) from error
        if not isinstance(model, Model):
            raise RunError(f"{self.folder / 'model.json'} describes no model of tfrecs.")
        checkpoints = self.checkpoints(model)
        positions = checkpoints.positions()
        if not positions and self.metrics:
            raise CheckpointError(f"There is no checkpoint left in {checkpoints.folder}.")
        try:
            best = checkpoints.state(*positions[-1])["best"]["best_epoch"] if positions else 0
            if best:
                checkpoints.restore(best)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}. `tfrecs train --resume {self.folder}` goes on from the one before."
            ) from error
        if not best:
            raise RunError(
                f"No epoch of {self.folder} is done yet. Go on with it by: "
                f"tfrecs train --resume {self.folder}"
            )
        return model

    def load_split(self) -> Split | RowSplit:
        """Returns the split that the model was trained and tested on, made again from the data.

        Raises:
            RunError: If the data are not there or have changed since.
        """
        config = self.config
        with run_errors():
            split = load_source(
                config["data"],
                config.get("data_args"),
                config.get("k_core"),
                config.get("split", "leave_last_out"),
                config.get("split_args"),
                recommend_known=self.recommend_known,
            ).parts
        if split.items != self.load_items():
            raise RunError(
                f"The items of {config['data']} are not those that {self.folder} was trained on: "
                "the data have changed. Train again, or restore the old data."
            )
        trained_on = self._trained_on
        reads_events = trained_on is not None and trained_on.startswith(EVENTS)
        if trained_on not in (None, fingerprint(split, events=reads_events)):
            raise RunError(
                f"{config['data']} has changed since {self.folder} was trained on it: what the "
                "model learned from may be among the test. Train again, or restore the old data. "
                "In Python, tfrecs.evaluate(run.load_model(), part) tests on any part of a split."
            )
        return split

    @property
    def _trained_on(self) -> str | None:
        """The fingerprint of the newest checkpoint's training data, if it is known."""
        checkpoints = Checkpoints(self.folder / "checkpoints", None, self._identity())
        positions = checkpoints.positions()
        try:
            return checkpoints.state(*positions[-1]).get("data") if positions else None
        except CheckpointError:  # `load_model` reports it.
            return None
