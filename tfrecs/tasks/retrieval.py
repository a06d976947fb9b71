"""The retrieval task: each query's own candidate against all others of the batch."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from tfrecs._keras import keras, tf, tfrs
from tfrecs.configured import Configured, check_integer, registered
from tfrecs.negatives.in_batch import contained
from tfrecs.negatives.replicas import all_gather, first_row
from tfrecs.tasks.checks import check_counted, check_ids, check_names, check_shapes, keras_loss
from tfrecs.tasks.parts import TaskMetric, reduce_losses, task_metrics

# A logit that takes no part. Half the minimum, so that its difference to others is a number too.
_MASKED = tf.float32.min / 2


@registered
class Retrieval(Configured, keras.layers.Layer, tfrs.tasks.Task):
    """A retrieval task: stands in for `tfrs.tasks.Retrieval`, with the same call.

    Trains two towers to score a query's own candidate above the other rows of the batch, and
    updates metrics:

        loss_i = log(sum_j exp(c_ij)) - c_ii,   c_ij = <q_i, v_j> / temperature - log p_j

    where p_j is the probability that a row of the batch is candidate j (the logQ correction of Yi
    et al., RecSys 2019), known from `frequency` or from the caller. Without it there is no
    correction, and frequent items are held down. What TFRS's task lacks:

    - the candidates of all replicas are negatives, so two replicas train as one big batch does;
    - the correction finds its probabilities by itself (`frequency`), without a floor at 1e-6;
    - a user's other positives are no negatives (`positive_ids`);
    - everything is float32 under mixed precision;
    - a metric that is not computed reads NaN instead of 0.

    One thing differs on purpose: the loss is the weighted mean over the whole batch, not the sum,
    so that the learning rate does not depend on the batch size. A Keras loss with `reduction="sum"`
    gives the sum.

    Models of tfrecs take the same softmax as a loss, `SampledSoftmax(negatives=InBatch(...))`. It
    knows items by their ids, so it can mix in drawn negatives and leave out what a user knows.

    Args:
        loss: Keras loss of one-hot labels and logits, `[num_queries, c]`, with its reduction; None
            for softmax cross-entropy.
        metrics: Metrics over the corpus, such as `tfrs.metrics.FactorizedTopK`: one or several.
            They hold a catalogue, so configs and checkpoints leave them out. They get float32: make
            them under the float32 policy, the only one that TFRS's work with.
        batch_metrics: Keras metrics of labels and logits within the batch.
        loss_metrics: Keras metrics that summarise the loss.
        temperature: Divides the scores; None for 1.
        num_hard_negatives: Keep only so many negatives of each query, those with the largest
            logits; None for all.
        remove_accidental_hits: Whether negatives with the id of the query's own candidate are left
            out.
        name: Name of the task.
        learn_temperature: Whether the temperature is a weight, its logarithm, that `temperature`
            initialises.
        frequency: Says how likely a row of the batch is to hold an item, for the logQ correction:
            `negatives.ItemFrequency` (counted) or `negatives.StreamingFrequency` (estimated).
        **kwargs: As every Keras layer.

    Raises:
        TypeError: If an argument is given that is now a sampler's, or is of another type.
        ValueError: If a number is out of its range, a call's tensors do not fit each other, a call
            lacks what an argument needs, or two metrics have one name.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> task = tfrecs.tasks.Retrieval(loss_metrics=[tf.keras.metrics.Mean("batch_loss")])
        >>> loss = task(tf.constant([[2.0], [0.0]]), tf.constant([[1.0], [0.0]]))
        >>> round(float(loss), 4)  # (log(1 + e^-2) + log(2)) / 2
        0.41
        >>> round(float(task.metrics[0].result()), 4)
        0.41
    """

    def __init__(
        self,
        loss: keras.losses.Loss | None = None,
        metrics: Any = None,
        batch_metrics: Sequence[keras.metrics.Metric] | None = None,
        loss_metrics: Sequence[keras.metrics.Metric] | None = None,
        temperature: float | None = None,
        num_hard_negatives: int | None = None,
        remove_accidental_hits: bool = False,
        name: str | None = None,
        learn_temperature: bool = False,
        frequency: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        moved = sorted({"negatives", "extra_frequency", "known"} & set(kwargs))
        if moved:
            raise TypeError(
                f"Retrieval no longer takes {' and '.join(moved)}: train with the loss "
                "SampledSoftmax(negatives=Mixed([InBatch(frequency=..., known=...), "
                "Uniform(1024)])) instead, which any model takes; see CHANGELOG.md, 0.2.0."
            )
        super().__init__(**{**kwargs, "name": name, "dtype": "float32"})
        if temperature is not None and not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature!r}.")
        if num_hard_negatives is not None:
            check_integer("num_hard_negatives", num_hard_negatives, least=0)
        self._loss = keras_loss(loss, None)
        self.temperature = 1.0 if temperature is None else temperature
        self.num_hard_negatives = num_hard_negatives
        self.remove_accidental_hits = remove_accidental_hits
        self.frequency = frequency
        self.log_temperature = None
        if learn_temperature:
            self.log_temperature = self.add_weight(
                name="log_temperature",
                shape=(),
                initializer=keras.initializers.Constant(float(tf.math.log(self.temperature))),
            )
        self._batch_metrics = task_metrics(batch_metrics)
        self._loss_metrics = task_metrics(loss_metrics)
        self._corpus_results: list[list[TaskMetric]] = []
        self.factorized_metrics = metrics
        self.remember(metrics=None)

    @property
    def factorized_metrics(self) -> Sequence[tfrs.metrics.Factorized]:
        """The metrics over the corpus; assign one or several."""
        return self._factorized_metrics

    @factorized_metrics.setter
    def factorized_metrics(self, value: Any) -> None:
        """Sets them."""
        if value is None:
            value = []
        elif isinstance(value, str) or not isinstance(value, Sequence):
            value = [value]
        for metric in value:
            if not isinstance(metric, tfrs.metrics.Factorized):
                raise TypeError(
                    f"metrics takes metrics over a corpus, tfrs.metrics.Factorized, not {metric!r}."
                )
        before = {id(metric) for results in self._corpus_results for metric in results}
        self._metrics[:] = [metric for metric in self._metrics if id(metric) not in before]
        # Around Keras's tracking: what it tracks it also logs, and a corpus belongs in no config.
        self.__dict__["_factorized_metrics"] = list(value)
        self._corpus_results = [task_metrics(list(metric.metrics)) for metric in value]
        check_names(self, self.metrics)

    def call(
        self,
        query_embeddings: tf.Tensor,
        candidate_embeddings: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
        candidate_sampling_probability: tf.Tensor | None = None,
        candidate_ids: tf.Tensor | None = None,
        compute_metrics: bool = True,
        compute_batch_metrics: bool = True,
        score_mask: tf.Tensor | None = None,
        candidate_log_probability: tf.Tensor | None = None,
        positive_ids: tf.Tensor | None = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Returns the loss, and updates the metrics.

        Args:
            query_embeddings: `[num_queries, dim]`, or `[num_queries, heads, dim]` where a query's
                score is the largest of its heads' (metrics over the corpus are not computed then).
            candidate_embeddings: `[num_candidates, dim]`: each query's own candidate in the query's
                row, then further rows, if any, as negatives of all.
            sample_weight: `[num_queries]` weights of the queries, or a scalar.
            candidate_sampling_probability: `[num_candidates]`, how likely each candidate was to be
                drawn, where the caller knows it; used instead of `frequency`. The smallest positive
                probability replaces NaN and what is not positive: the candidate was drawn.
            candidate_ids: `[num_candidates]` ids; metrics over the corpus compare them if given.
            compute_metrics: Whether to compute the metrics over the corpus.
            compute_batch_metrics: Whether to compute the metrics within the batch.
            score_mask: `[num_queries, num_candidates]` bool, False for a candidate that is no
                negative of the query. It does not concern candidates of other replicas.
            candidate_log_probability: Logarithm of `candidate_sampling_probability`, given instead.
            positive_ids: `[num_queries, p]` integers, padded with 0: the user's other positives,
                which are no negatives.
            training: Whether a `StreamingFrequency` learns from the batch: pass on what
                `compute_loss` was given.
        """
        queries = tf.cast(query_embeddings, tf.float32)
        candidates = tf.cast(candidate_embeddings, tf.float32)
        if candidate_sampling_probability is not None:
            if candidate_log_probability is not None:
                raise ValueError(
                    f"{self.name}: give candidate_sampling_probability or "
                    "candidate_log_probability, not both."
                )
            candidate_log_probability = _log(candidate_sampling_probability)
        needs_ids = {
            "remove_accidental_hits": self.remove_accidental_hits,
            "positive_ids": positive_ids is not None,
            "frequency": self.frequency is not None and candidate_log_probability is None,
        }
        check_ids(self.name, candidate_ids, needs_ids)
        if needs_ids["frequency"]:
            check_counted(self.name, queries, candidates)
        others = {
            "candidate_ids": (candidate_ids, "c"),
            "the candidates' probabilities": (candidate_log_probability, "c"),
            "positive_ids": (positive_ids, "qp"),
            "score_mask": (score_mask, "qc"),
        }
        check_shapes(self.name, queries, candidates, others)
        log_probability = self._log_probability(
            queries, candidate_ids, candidate_log_probability, training
        )
        positive, logits = self._logits(
            queries, candidates, candidate_ids, log_probability, positive_ids, score_mask
        )
        labels = tf.one_hot(positive, tf.shape(logits)[1])
        if self._loss is None:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(positive, logits)
            reduced = reduce_losses(losses, sample_weight)
        else:
            losses = self._loss.call(labels, logits)
            reduced = reduce_losses(losses, sample_weight, self._loss.reduction)

        for metric in self._loss_metrics:
            metric.update_state(reduced.reported, sample_weight=reduced.weight)
        if compute_metrics and queries.shape.rank == 2:
            self._update_corpus_metrics(queries, candidates, candidate_ids, sample_weight)
        if compute_batch_metrics:
            for metric in self._batch_metrics:
                metric.update_state(labels, logits, sample_weight=sample_weight)
        return reduced.loss

    def _log_probability(
        self, queries: tf.Tensor, ids: Any, given: tf.Tensor | None, training: bool
    ) -> tf.Tensor | None:
        """Returns the log-probability of each candidate of all replicas, or None."""
        if given is not None:
            return all_gather(tf.cast(given, tf.float32))
        if self.frequency is None:
            return None
        if training:
            self.frequency.update(ids[: tf.shape(queries)[0]])
        return self.frequency(all_gather(ids))

    def _logits(
        self,
        queries: tf.Tensor,
        candidates: tf.Tensor,
        ids: Any,
        log_probability: tf.Tensor | None,
        positive_ids: tf.Tensor | None,
        score_mask: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the column of each query's own candidate, and the logits `[num_queries, c]`."""
        num_queries, num_own = tf.shape(queries)[0], tf.shape(candidates)[0]
        first = first_row(num_own)
        candidates = all_gather(candidates)
        own_ids: Any = None if ids is None else ids[:num_queries]
        ids = None if ids is None else all_gather(ids)
        num_candidates = tf.shape(candidates)[0]

        logits = _similarity(queries, candidates)
        if self.log_temperature is not None:
            logits *= tf.exp(-self.log_temperature)
        elif self.temperature != 1:
            logits /= self.temperature
        if log_probability is not None:
            logits -= log_probability

        positive = first + tf.range(num_queries)
        own = tf.one_hot(positive, num_candidates, True, False, dtype=tf.bool)
        kept = []
        if self.remove_accidental_hits:
            kept.append(ids != own_ids[:, tf.newaxis])
        if positive_ids is not None:
            kept.append(~contained(ids, positive_ids))
        if score_mask is not None:
            after = num_candidates - first - num_own
            kept.append(tf.pad(score_mask, [[0, 0], [first, after]], constant_values=True))
        if kept:
            logits = tf.where(own | functools.reduce(tf.logical_and, kept), logits, _MASKED)
        if not self.num_hard_negatives:
            return positive, logits
        k = tf.minimum(self.num_hard_negatives, num_candidates - 1)
        hard = tf.nn.top_k(tf.where(own, tf.float32.min, logits), k).values
        target = tf.gather(logits, positive[:, tf.newaxis], batch_dims=1)
        return tf.zeros_like(positive), tf.concat([target, hard], axis=1)

    def _update_corpus_metrics(
        self,
        queries: tf.Tensor,
        candidates: tf.Tensor,
        candidate_ids: tf.Tensor | None,
        sample_weight: tf.Tensor | None,
    ) -> None:
        count = tf.shape(queries)[0]
        ids = None if candidate_ids is None else candidate_ids[:count]
        for metric, results in zip(self._factorized_metrics, self._corpus_results, strict=True):
            metric.update_state(
                queries, candidates[:count], true_candidate_ids=ids, sample_weight=sample_weight
            )
            for result in results:
                result.updated()


def _similarity(queries: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    if queries.shape.rank == 2:
        return tf.matmul(queries, candidates, transpose_b=True)
    return tf.reduce_max(tf.einsum("qne,ce->qnc", queries, candidates), axis=1)


def _log(probability: tf.Tensor) -> tf.Tensor:
    """Returns the logarithm; the smallest positive value first replaces what is not positive."""
    probability = tf.cast(probability, tf.float32)
    positive = probability > 0
    least = tf.reduce_min(tf.where(positive, probability, 1.0))
    return tf.math.log(tf.where(positive, probability, least))
