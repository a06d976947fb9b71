"""The heads of a model of rows: what each predicts, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.data import Label, Schema
from tfrecs.layers import MMoE
from tfrecs.tasks import MultiTask, Ranking

Given: TypeAlias = tf.Tensor | dict[str, tf.Tensor]


class Heads:
    """What a model with one output or several makes of them, as its task says.

    Args:
        task: The task; None for binary cross-entropy of the only label.
        context: Schema with the labels.

    Raises:
        ValueError: If the task does not fit the labels of the context.

    Attributes:
        task: The task.
        tasks: The task of each head by name, which is the name of its label.
        first: Name of the first one.
        several: Whether the model returns predictions by name.
        kinds: Of each head "binary", for a probability, or "regression".
        monitor: The validation metric of the first head by which the best epoch is chosen.
        monitor_mode: Which value of it is better, "max" or "min".
    """

    def __init__(self, task: Ranking | MultiTask | None, context: Schema) -> None:
        if not context.labels:
            raise ValueError(f"The context has no label, only {context}.")
        self.several = isinstance(task, MultiTask)
        if not self.several and len(context.labels) > 1:
            raise ValueError(
                f"The context has the labels {', '.join(context.labels)}: say what is to be "
                "learned of each by a task=tasks.MultiTask({label: tasks.Ranking(..), ..})."
            )
        self.task = task or Ranking(keras.losses.BinaryCrossentropy(from_logits=True))
        self.tasks = self.task.heads if self.several else {context.labels[0]: self.task}
        strange = [head for head in self.tasks if head not in context.labels]
        if strange:
            raise ValueError(
                f"Heads are labels of the context, {', '.join(context.labels)}, and not "
                f"{', '.join(strange)}."
            )
        columns = {head: context[head] for head in self.tasks}
        self._optional = [h for h, x in columns.items() if isinstance(x, Label) and x.optional]
        self.kinds = {head: task.label_kind for head, task in self.tasks.items()}
        self.first = next(iter(self.tasks))
        metric = "AUC" if self.kinds[self.first] == "binary" else "RMSE"
        self.monitor = f"val_{self.first}/{metric}" if self.several else f"val_{metric}"
        self.monitor_mode = "max" if metric == "AUC" else "min"

    def layers(
        self, num_experts: int | None, expert_units: Sequence[int], seed: int | None
    ) -> tuple[keras.layers.Layer | None, keras.layers.Layer]:
        """Returns the experts, if any, and the layer that gives `[batch, heads]`.

        Args:
            num_experts: Experts that the heads share.
            expert_units: Widths of an expert's layers.
            seed: Seed of the initial weights.
        """

        def init(part: int) -> keras.initializers.Initializer:
            return keras.initializers.GlorotUniform(None if seed is None else 1000 * seed + part)

        count = len(self.tasks)
        # Of the output, in float32 under every policy: a label may be a large number.
        arguments = {"kernel_initializer": init(2), "name": "output", "dtype": "float32"}
        if num_experts is None:
            return None, keras.layers.Dense(count, **arguments)
        if not self.several:
            raise ValueError("task_experts are shared by several heads: they need a MultiTask.")
        experts = MMoE(
            count, num_experts, expert_units, kernel_initializer=init(700), name="experts"
        )
        return experts, keras.layers.EinsumDense("bhu,hu->bh", count, bias_axes="h", **arguments)

    def adapt(self, columns: Mapping[str, np.ndarray], output_layer: keras.layers.Layer) -> None:
        """Lets the outputs that are numbers begin with the mean of their labels.

        Adam moves a bias by about its learning rate a step: the way to 1,000 seconds is long.

        Args:
            columns: Columns of the training rows, labels among them.
            output_layer: What gives `[batch, heads]`.
        """
        bias = output_layer.bias.numpy()
        for place, (head, kind) in enumerate(self.kinds.items()):
            if kind == "regression" and np.isfinite(columns.get(head, np.nan)).any():
                bias[place] = np.nanmean(columns[head], dtype=np.float64)
        output_layer.bias.assign(bias)

    def by_name(self, outputs: tf.Tensor) -> Given:
        """Returns the log-odds, or numbers, of `[batch, heads]` as the model gives them."""
        return self._given(self._named(outputs))

    def predictions(self, outputs: tf.Tensor) -> Given:
        """Returns the probabilities, or numbers, of `[batch, heads]` as the model gives them."""
        return self._given(
            {
                head: tf.sigmoid(x) if self.kinds[head] == "binary" else x
                for head, x in self._named(outputs).items()
            }
        )

    def loss(
        self, inputs: Mapping[str, tf.Tensor], outputs: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Returns the task's loss of `[batch, heads]`, the labels among the inputs.

        A row without an optional label counts for the other heads alone.
        """
        labels = {head: inputs[head] for head in self.tasks}
        weights = {}
        if "sample_weight" in inputs:
            weights = dict.fromkeys(self.tasks, inputs["sample_weight"])
        for head in self._optional:
            missing = tf.math.is_nan(labels[head])
            # A weight of 0 is not enough: 0 times NaN is NaN.
            labels[head] = tf.where(missing, tf.zeros_like(labels[head]), labels[head])
            present = 1.0 - tf.cast(missing, tf.float32)
            weights[head] = weights[head] * present if head in weights else present
        predicted = {
            head: tf.sigmoid(x) if self.tasks[head].takes_probabilities else x
            for head, x in self._named(outputs).items()
        }
        if self.several:
            return self.task(labels, predicted, weights, training=training)
        head = self.first
        return self.task(labels[head], predicted[head], weights.get(head), training=training)

    def _named(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(self.tasks, tf.unstack(outputs, axis=1), strict=True))

    def _given(self, by_head: dict[str, tf.Tensor]) -> Given:
        return by_head if self.several else by_head[self.first]


def dense_of_parts(layer: keras.layers.Dense, parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns what a linear layer gives for parts side by side, without copying them there.

    [x, y] W + b = x W_x + y W_y + b
    """
    kernels = tf.split(layer.kernel, [part.shape[-1] for part in parts])
    products = [
        tf.matmul(tf.cast(part, kernel.dtype), kernel)
        for part, kernel in zip(parts, kernels, strict=True)
    ]
    return tf.nn.bias_add(tf.add_n(products), layer.bias)
