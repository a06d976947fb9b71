"""Checkpoints that are whole or absent, and checked before they are used."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from tfrecs._keras import tf

_EPOCH = re.compile(r"epoch-(\d+)")


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message says which one and what is wrong with it."""


class Checkpoints:
    """A folder with one folder an epoch: weights, optimizer, and the state of the training.

    A checkpoint is written beside its place and then renamed into it, so that a process killed at
    any moment leaves it whole or not there. `state.json` holds a sha256 of each of its files,
    which is checked before anything is read: TensorFlow itself overlooks some damage.

    ```
    checkpoints/epoch-0007/state.json                       the state, and checksums
    checkpoints/epoch-0007/weights.index, weights.data-*    a tf.train.Checkpoint of the model
    ```

    Args:
        folder: Where the checkpoints are; made when the first one is saved.
        model: A compiled Keras model whose variables exist. Its optimizer is saved with it.

    Example:
        ```python
        checkpoints = tfrecs.training.Checkpoints("runs/first/checkpoints", model)
        checkpoints.save(3, {"best_epoch": 2}, keep=[2])
        epoch, state = checkpoints.restore_latest()
        ```
    """

    def __init__(self, folder: str | os.PathLike[str], model: Any) -> None:
        self.folder = Path(folder)
        self.model = model

    def epochs(self) -> list[int]:
        """The epochs that have a checkpoint, in rising order."""
        found = [_EPOCH.fullmatch(path.name) for path in self.folder.glob("epoch-*")]
        return sorted(int(match[1]) for match in found if match)

    def path(self, epoch: int) -> Path:
        """The folder of an epoch's checkpoint."""
        return self.folder / f"epoch-{epoch:04d}"

    def save(self, epoch: int, state: dict[str, Any], keep: Collection[int] = ()) -> None:
        """Writes a checkpoint and then removes those that are no longer needed.

        The newest checkpoint, the one before it and those named in `keep` stay.

        Args:
            epoch: How many epochs are done.
            state: What the training must know to go on; anything JSON can hold.
            keep: Epochs whose checkpoints stay, such as the best one.
        """
        self._build_optimizer()
        # A run that was stopped while saving left these behind.
        for rest in self.folder.glob(".*-tmp"):
            shutil.rmtree(rest)
        new = self.folder / f".epoch-{epoch:04d}-tmp"
        new.mkdir(parents=True)
        tf.train.Checkpoint(model=self.model).write(str(new / "weights"))
        checksums = {path.name: _sha256(path) for path in sorted(new.iterdir())}
        content = {"state": state, "sha256": {"state": _sha256(state), **checksums}}
        (new / "state.json").write_text(json.dumps(content, indent=1))
        for path in new.iterdir():
            _flush(path)
        if self.path(epoch).exists():
            # One that was found to be damaged, and whose epoch has now been trained again.
            shutil.rmtree(self.path(epoch))
        new.rename(self.path(epoch))
        _flush(self.folder)
        stay = {*keep, *[e for e in self.epochs() if e <= epoch][-2:]}
        for old in self.epochs():
            if old not in stay:
                shutil.rmtree(self.path(old))

    def restore(self, epoch: int) -> dict[str, Any]:
        """Gives the model, and its optimizer where it has one, an epoch's variables back.

        Args:
            epoch: Which epoch's.

        Returns:
            The state that was saved with it.

        Raises:
            CheckpointError: If the checkpoint is damaged or of another model. The model is then
                unchanged wherever a checksum tells the damage.
        """
        state = self.state(epoch)
        self._build_optimizer()
        try:
            status = tf.train.Checkpoint(model=self.model).read(str(self.path(epoch) / "weights"))
            status.assert_existing_objects_matched().expect_partial()
        # TensorFlow raises many kinds: OpError, ValueError, IndexError, AssertionError.
        except Exception as error:
            raise CheckpointError(
                f"{self.path(epoch)} does not fit the model: {_first_line(error)}"
            ) from error
        return state

    def restore_latest(self, warn: Callable[[str], None] = print) -> tuple[int, dict[str, Any]]:
        """Restores the newest checkpoint that is undamaged.

        Args:
            warn: Called with a message for each damaged checkpoint that is passed over.

        Returns:
            The epoch and its state.

        Raises:
            CheckpointError: If there is none: training must not silently begin anew.
        """
        problems = []
        for epoch in reversed(self.epochs()):
            try:
                return epoch, self.restore(epoch)
            except CheckpointError as error:
                problems.append(str(error))
                warn(f"WARNING: passing over a checkpoint that cannot be used: {error}")
        raise CheckpointError(
            f"No usable checkpoint in {self.folder}"
            + (f" ({'; '.join(problems)})" if problems else "")
            + ". Train into a new folder to start over."
        )

    def state(self, epoch: int) -> dict[str, Any]:
        """The state saved with an epoch, after a check of every file of its checkpoint.

        Args:
            epoch: Which epoch's.

        Returns:
            The state.

        Raises:
            CheckpointError: If a file is missing or altered.
        """
        folder = self.path(epoch)
        try:
            content = json.loads((folder / "state.json").read_text())
            state, expected = content["state"], content["sha256"]
            found = {"state": _sha256(state)}
            found |= {name: _sha256(folder / name) for name in expected if name != "state"}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{folder}: {_first_line(error)}") from error
        if found != expected:
            altered = [name for name in expected if found[name] != expected[name]]
            raise CheckpointError(f"{folder}: {', '.join(altered)} is not what was saved")
        return state

    def _build_optimizer(self) -> None:
        # Keras makes an optimizer's variables in the first step; a checkpoint needs them before.
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None and not getattr(optimizer, "_built", False):
            with self.model.distribute_strategy.scope():
                optimizer.build(self.model.trainable_variables)


def _sha256(what: Path | dict[str, Any]) -> str:
    """The checksum of a file, or of what JSON can hold."""
    digest = hashlib.sha256()
    if isinstance(what, dict):
        digest.update(json.dumps(what, sort_keys=True).encode())
        return digest.hexdigest()
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
