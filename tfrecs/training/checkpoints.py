"""Checkpoints that are whole or absent, and checked before they are used."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from tfrecs._keras import tf
from tfrecs._paths import plain_path
from tfrecs.models.fitting import build_optimizer

_NAME = re.compile(r"epoch-(\d+)(?:-batch-(\d+))?")


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names it and the fault."""


class Position(NamedTuple):
    """A place in a training.

    Attributes:
        epoch: How many epochs are done.
        batch: How many batches of the next one are done.
    """

    epoch: int
    batch: int = 0


class Checkpoints:
    """A folder with a folder for each checkpoint: weights, optimizer, and the training's state.

    A checkpoint is written beside its place and then renamed, so that it is whole or absent
    whenever the process is killed. `state.json` holds a sha256 of each file, which is checked
    before anything is read: TensorFlow itself overlooks some damage.

    ```
    checkpoints/epoch-0007/                                 after 7 epochs
    checkpoints/epoch-0007-batch-000120/                    after 120 batches of the eighth
    checkpoints/epoch-0007/state.json                       the state, and checksums
    checkpoints/epoch-0007/weights.index, weights.data-*    a tf.train.Checkpoint of the model
    ```

    Args:
        folder: Where the checkpoints are; made when the first one is saved.
        model: A compiled Keras model whose variables exist. Its optimizer is saved with it.
        run: Identifies the run, such as a hash of its settings: a checkpoint of another run is
            refused.

    Example:
        ```python
        checkpoints = tfrecs.training.Checkpoints("runs/first/checkpoints", model)
        checkpoints.save(3, {"best_epoch": 2}, keep=[2])
        position, state = checkpoints.restore_latest()
        ```
    """

    def __init__(self, folder: str | os.PathLike[str], model: Any, run: str = "") -> None:
        self.folder = Path(folder)
        self.model = model
        self.run = run

    def positions(self) -> list[Position]:
        """Returns the places in the training that have a checkpoint, in rising order."""
        found = [_NAME.fullmatch(path.name) for path in self.folder.glob("epoch-*")]
        return sorted(Position(int(match[1]), int(match[2] or 0)) for match in found if match)

    def epochs(self) -> list[int]:
        """Returns the epochs with a checkpoint at their end, in rising order."""
        return [position.epoch for position in self.positions() if not position.batch]

    def path(self, epoch: int, batch: int = 0) -> Path:
        """The folder of a checkpoint."""
        within = f"-batch-{batch:06d}" if batch else ""
        return self.folder / f"epoch-{epoch:04d}{within}"

    def save(
        self, epoch: int, state: dict[str, Any], keep: Collection[int] = (), *, batch: int = 0
    ) -> None:
        """Writes a checkpoint, then removes all but it, the one before it and those in `keep`.

        Args:
            epoch: How many epochs are done.
            state: The state from which the training goes on; anything JSON can hold.
            keep: Epochs at whose end the checkpoint stays, such as the best one.
            batch: How many batches of the next epoch are done.

        Raises:
            FloatingPointError: If a weight, or a variable of the optimizer, is not finite. Nothing
                is written, and the older checkpoints stay.
        """
        build_optimizer(self.model)
        self._check_finite()
        self._remove_temporary()  # A run that was stopped while saving left such folders.
        path = self.path(epoch, batch)
        new = self.folder / f".{path.name}-tmp"
        new.mkdir(parents=True)
        with plain_path(new) as plain:
            tf.train.Checkpoint(model=self.model).write(str(plain / "weights"))
        checksums = {f.name: _sha256(f) for f in sorted(new.iterdir())}
        about: dict[str, Any] = {"position": [epoch, batch], "run": self.run, "state": state}
        content = {**about, "sha256": {"state": _sha256(about), **checksums}}
        (new / "state.json").write_text(json.dumps(content, indent=1))
        for file in new.iterdir():
            _flush(file)
        if path.exists():
            # It was damaged, so its epoch has been trained again.
            path.rename(self.folder / f".{path.name}-old-tmp")
        new.rename(path)
        _flush(self.folder)
        now = Position(epoch, batch)
        # Later ones are damaged: the training went on from an earlier one.
        stay = [*map(Position, keep), *[p for p in self.positions() if p <= now][-2:]]
        for old in self.positions():
            if old not in stay:
                shutil.rmtree(self.path(*old))
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        for rest in self.folder.glob(".*-tmp"):
            shutil.rmtree(rest)

    def restore(self, epoch: int, batch: int = 0) -> dict[str, Any]:
        """Restores the variables of the model, and of its optimizer where it has one.

        Returns:
            The state that was saved with them.

        Raises:
            CheckpointError: If the checkpoint is damaged or of another model. The model is then
                unchanged wherever a checksum tells the damage.
        """
        state, path = self.state(epoch, batch), self.path(epoch, batch)
        build_optimizer(self.model)
        try:
            with plain_path(path) as plain:
                status = tf.train.Checkpoint(model=self.model).read(str(plain / "weights"))
            status.assert_existing_objects_matched().expect_partial()
        # TensorFlow raises many kinds: OpError, ValueError, IndexError, AssertionError.
        except Exception as error:
            raise CheckpointError(f"{path} does not fit the model: {_first_line(error)}") from error
        return state

    def restore_latest(
        self, warn: Callable[[str], None] = print
    ) -> tuple[Position, dict[str, Any]]:
        """Restores the newest checkpoint that is undamaged; returns its position and state.

        `warn` is called with a message for each damaged one.

        Raises:
            CheckpointError: If there is none: training must not silently start over.
        """
        problems = []
        for position in reversed(self.positions()):
            try:
                return position, self.restore(*position)
            except CheckpointError as error:
                problems.append(str(error))
                warn(f"WARNING: passing over a checkpoint that cannot be used: {error}")
        raise CheckpointError(
            f"No usable checkpoint in {self.folder}"
            + (f" ({'; '.join(problems)})" if problems else "")
            + ". Train into a new folder to start over."
        )

    def state(self, epoch: int, batch: int = 0) -> dict[str, Any]:
        """Returns the state saved with a checkpoint, after a check of all its files.

        Raises:
            CheckpointError: If a file is missing or altered.
        """
        folder = self.path(epoch, batch)
        try:
            content = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            about: dict[str, Any] = {name: content[name] for name in ("position", "run", "state")}
            expected = dict(content["sha256"])
            found = {"state": _sha256(about)}
            for name in expected:
                if name != "state":
                    if Path(name).name != name or not (folder / name).is_file():
                        raise CheckpointError(f"{folder}: {name} is missing")
                    found[name] = _sha256(folder / name)
        except KeyError as error:
            raise CheckpointError(
                f"{folder}: state.json has no {error}: it is damaged, or of an earlier tfrecs"
            ) from error
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{folder}: {_first_line(error)}") from error
        if found != expected:
            altered = [name for name in expected if found[name] != expected[name]]
            raise CheckpointError(f"{folder}: {', '.join(altered)} is not what was saved")
        if about["position"] != [epoch, batch]:
            place = self.path(*about["position"]).name
            raise CheckpointError(f"{folder} holds {place}: a folder was renamed or copied")
        if about["run"] != self.run:
            raise CheckpointError(
                f"{folder} was saved with other settings or another model than config.yaml and "
                "model.json describe now: one of them was edited, or it is of another run"
            )
        if not isinstance(about["state"], dict):
            raise CheckpointError(f"{folder}: state.json holds no state")
        return about["state"]

    def _check_finite(self) -> None:
        """Raises an error if a variable is not finite, as with too high a learning rate."""
        optimizer = getattr(self.model, "optimizer", None)
        # Weights that do not train may be NaN: a missing feature is, in its table.
        variables = [*self.model.trainable_weights, *getattr(optimizer, "variables", ())]
        for variable in variables:
            if variable.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(variable)):
                raise FloatingPointError(
                    f"{variable.name} is no longer finite, so this is not saved; the checkpoints "
                    f"before it stay in {self.folder}. Train again with a lower learning rate."
                )


def _sha256(what: Path | dict[str, Any]) -> str:
    """Returns the checksum of a file, or of a dictionary as JSON."""
    if isinstance(what, dict):
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    digest = hashlib.sha256()
    with what.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Forces a file's bytes, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
