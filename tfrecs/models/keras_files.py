"""What Keras writes and tells of a model, for models whose weights exist before they are called."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tfrecs._keras import keras


class KerasFiles(keras.Model):
    """Mixed into a model: `save_weights`, `load_weights`, `save`, `summary` and `count_params`.

    Keras's older HDF5 form keeps weights by their names, which layers share; files that end in
    `.h5` are written in its newer form, as `.weights.h5` are. Keras's own methods refuse a model
    that was never called; here all weights exist before the first call.
    """

    def save_weights(
        self, filepath: Any, overwrite: bool = True, save_format: str | None = None, **kwargs: Any
    ) -> None:
        """Writes the weights; see `keras.Model.save_weights`.

        Args:
            filepath: Where; `.h5` and `.weights.h5` are one HDF5 file, others TensorFlow's form.
            overwrite: Whether an existing file is replaced.
            save_format: "h5" or "tf", where the name does not tell.
            **kwargs: As `keras.Model.save_weights`.

        Raises:
            FileExistsError: If the file exists and is not to be replaced.
        """
        path = os.fspath(filepath)
        if not _is_old_hdf5(path) and save_format not in ("h5", "hdf5"):
            super().save_weights(path, overwrite, save_format, **kwargs)
            return
        if not overwrite and os.path.exists(path):
            raise FileExistsError(f"{path} exists, and is not to be replaced.")
        with tempfile.TemporaryDirectory(dir=Path(path).absolute().parent) as scratch:
            written = os.path.join(scratch, "model.weights.h5")
            super().save_weights(written)
            os.replace(written, path)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Reads the weights; see `keras.Model.load_weights`.

        Args:
            filepath: Where they are.
            *args: As `keras.Model.load_weights`.
            **kwargs: As `keras.Model.load_weights`.
        """
        path = os.fspath(filepath)
        if not _is_old_hdf5(path) or not os.path.isfile(path):
            return super().load_weights(path, *args, **kwargs)
        with tempfile.TemporaryDirectory() as scratch:
            renamed = os.path.join(scratch, "model.weights.h5")
            shutil.copyfile(path, renamed)
            return super().load_weights(renamed)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Writes the model; see `keras.Model.save`. To serve it, `tfrecs.serving.export` says more.

        Args:
            filepath: A folder (a SavedModel) or a file that ends in `.keras`.
            *args: As `keras.Model.save`.
            **kwargs: As `keras.Model.save`.
        """
        self._call_once()
        super().save(filepath, *args, **kwargs)

    def summary(self, *args: Any, **kwargs: Any) -> None:
        """Prints the layers and their sizes; see `keras.Model.summary`.

        Args:
            *args: As `keras.Model.summary`.
            **kwargs: As `keras.Model.summary`.
        """
        self._call_once()
        super().summary(*args, **kwargs)

    def count_params(self) -> int:
        """Returns the number of weights, trainable or not."""
        return sum(int(weight.shape.num_elements()) for weight in self.weights)

    def example_features(self) -> dict[str, Any]:
        """Returns features of one query, such as `call` takes; empty where they are not known."""
        return {}

    def _call_once(self) -> None:
        """Lets Keras see the form of the inputs, which it keeps from the first call."""
        features = self.example_features()
        if features and (not self.built or self._saved_model_inputs_spec is None):
            self(features)


def _is_old_hdf5(path: str) -> bool:
    return path.endswith((".h5", ".hdf5")) and not path.endswith(".weights.h5")
