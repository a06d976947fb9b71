"""`fit` and `evaluate`: batches shared among replicas, corpus metrics, epochs that resume."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from tfrecs._gpu import has_gpu
from tfrecs._keras import keras, refuse_keras_3, tf
from tfrecs.data import EvaluationSet, Rows
from tfrecs.data.batches.replicas import num_to_share, shares
from tfrecs.evaluation import Validation
from tfrecs.models.averaging import AveragedWeights, inner_optimizer
from tfrecs.models.checks import check_batches, check_compile
from tfrecs.models.training_step import TrainingStep


class Fitting(TrainingStep):
    """A model whose `fit` takes the parts of a split, on any number of replicas.

    Args:
        **kwargs: Arguments of `keras.Model`, such as `name`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.static_shapes = False
        self._epoch_sums = EpochSums()

    def compile(self, *args: Any, jit_compile: bool | None = None, **kwargs: Any) -> None:
        """Configures the training; see `keras.Model.compile`.

        Args:
            *args: As `keras.Model.compile`.
            jit_compile: Whether XLA compiles the steps; shapes are static then. The optimizer's own
                `jit_compile` is switched off.
            **kwargs: As `keras.Model.compile`.

        Raises:
            ValueError: If there is a loss or a metric, which the model would ignore; XLA is to
                compile the steps of several replicas on CPUs; or the model was made outside of the
                strategy in whose scope this is called.
        """
        check_compile(self, args, kwargs)
        self._check_scope()
        replicas = self.distribute_strategy.num_replicas_in_sync
        if jit_compile and replicas > 1 and not has_gpu():
            raise ValueError(
                "XLA has no way to let several replicas on CPUs exchange gradients: leave "
                "jit_compile (--jit) out, or train on one device."
            )
        self.static_shapes = bool(jit_compile) or isinstance(
            tf.distribute.get_strategy(), tf.distribute.TPUStrategy
        )
        super().compile(*args, jit_compile=jit_compile, **kwargs)
        # On GPUs a Keras optimizer compiles the update of each variable by itself: a program for
        # each number of rows that a batch touches.
        inner = inner_optimizer(self)
        if hasattr(inner, "jit_compile"):
            inner.jit_compile = False

    def fit(
        self,
        x: Any = None,
        *args: Any,
        validation_data: Any = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model; see `keras.Model.fit`.

        Where the optimizer averages the weights (`use_ema=True`), validation, checkpoints and the
        trained model have the averages; see `AveragedWeights`.

        Args:
            x: As `keras.Model.fit`. Batches with a `first_batch` resume an epoch: it has the
                remaining steps, with the numbers that they have in the whole epoch. Where it was
                stopped its sums may be known too: see `resume_epoch`. What several replicas take
                of batches: `data.batches.replicas.shares`.
            *args: As `keras.Model.fit`.
            validation_data: An `EvaluationSet` (each epoch's logs get `val_HR@10` and
                `val_NDCG@10`), `Rows` with labels (`val_AUC`, `val_LogLoss`), or what Keras takes.
            callbacks: Keras callbacks.
            **kwargs: As `keras.Model.fit`.

        Returns:
            Keras's `History`.

        Raises:
            FloatingPointError: If all gradients of an epoch were non-finite.
            ValueError: If `x` does not hold batches of the model's examples, there are labels or
                weights beside them, or the model was made outside of the strategy in whose scope
                this is called.
        """
        self._check_scope()
        if not self._has_lazy_layers():
            build_optimizer(self)
        for name in ("y", "sample_weight", "class_weight"):
            if kwargs.get(name) is not None or (args and name == "y" and args[0] is not None):
                raise ValueError(f"{type(self).__name__}.fit has no use for {name}.")
        check_batches(self, x)
        refuse_keras_3(callbacks, "callbacks")
        first: list[keras.callbacks.Callback] = [self._epoch_sums]
        if getattr(inner_optimizer(self), "use_ema", False):
            first.append(AveragedWeights())
        if isinstance(validation_data, EvaluationSet | Rows):
            first.append(Validation(validation_data))
            validation_data = None
        self._epoch_sums.first_batch = getattr(x, "first_batch", 0)
        x, steps = self._shared(x)
        if steps is not None:
            kwargs["steps_per_epoch"] = kwargs.get("steps_per_epoch") or steps
        elif self.first_batch:
            # Keras counts an epoch's steps by the length of the data set, and begins at the step
            # that `_maybe_load_initial_counters_from_ckpt` tells.
            x = x.apply(tf.data.experimental.assert_cardinality(x.num_batches))
        try:
            return super().fit(
                x,
                *args,
                validation_data=validation_data,
                callbacks=[*first, *(callbacks or [])],
                **kwargs,
            )
        except Exception:
            # A step whose tracing failed half-way could never be traced again.
            self.train_function = None
            raise

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns the loss of batches; see `keras.Model.evaluate`.

        Args:
            x: Batches, as for `fit`.
            *args: As `keras.Model.evaluate`.
            **kwargs: As `keras.Model.evaluate`.
        """
        check_batches(self, x)
        x, steps = self._shared(x)
        if steps is not None and kwargs.get("steps") is None:
            kwargs["steps"] = steps
        return super().evaluate(x, *args, **kwargs)

    def _has_lazy_layers(self) -> bool:
        """Returns whether a layer may make weights when it is called first."""
        layers = [x for x in self.submodules if isinstance(x, keras.layers.Layer) and not x.built]
        # Ours have all of theirs. Some of Keras's make them in `call`, past `build`.
        foreign = [x for x in layers if type(x).__module__.partition(".")[0] != "tfrecs"]
        own_build = keras.layers.Layer.build
        return any(not x.weights or type(x).build is not own_build for x in foreign)

    def _check_scope(self) -> None:
        """Raises if the scope is wrong; Keras itself fails within a step, with an unclear error."""
        strategy = tf.distribute.get_strategy()
        inside = strategy.extended.variable_created_in_scope
        if tf.distribute.has_strategy() and not inside(self.nonfinite_steps):
            raise ValueError(
                f"{type(self).__name__} was made outside of the scope of this "
                f"{type(strategy).__name__}: make the model within `with strategy.scope():`."
            )

    @property
    def first_batch(self) -> int:
        """The batch that the epoch in training began with: 0, unless it is a resumed one."""
        return self._epoch_sums.first_batch

    def epoch_state(self) -> dict[str, Any]:
        """Returns the running sums of the current epoch, for `resume_epoch`.

        With the weights, the optimizer and the number of the next batch, this is all that a
        training that is stopped within an epoch needs to go on as if it had not been.
        """
        return self._epoch_sums.get_state(self)

    def resume_epoch(self, state: dict[str, Any]) -> None:
        """Lets the next `fit` go on with the sums of an epoch that was stopped.

        Args:
            state: What `epoch_state` returned.
        """
        self._epoch_sums.set_state(state)

    def _maybe_load_initial_counters_from_ckpt(
        self, steps_per_epoch: int | None, initial_epoch: int
    ) -> tuple[int, int]:
        epoch, step = super()._maybe_load_initial_counters_from_ckpt(steps_per_epoch, initial_epoch)
        return epoch, step or self.first_batch

    def _shared(self, x: Any) -> tuple[Any, int | None]:
        """Batches as the replicas take them, and how many there are where they have no end."""
        strategy = self.distribute_strategy
        # Workers of parameter servers are not in step.
        servers = tf.distribute.ParameterServerStrategy
        if strategy.num_replicas_in_sync == 1 or isinstance(strategy, servers):
            return x, None
        steps = num_to_share(x)
        return (x, None) if steps is None else (shares(x, strategy), steps)


def build_optimizer(model: keras.Model) -> None:
    """Makes the variables of a model's optimizer, unless they exist; all its weights must exist.

    Keras makes them in the first step. That is too late to restore them from a checkpoint, and
    TensorFlow traces the step a second time.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    if hasattr(optimizer, "build") and not getattr(optimizer, "_built", False):
        with model.distribute_strategy.scope():
            optimizer.build(model.trainable_variables)


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
