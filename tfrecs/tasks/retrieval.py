"""The retrieval task: each query's own candidate against all others of the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfrecs._keras import keras, tf, tfrs
from tfrecs.configured import Configured, registered
from tfrecs.losses import InBatchSoftmax
from tfrecs.tasks.parts import TaskMetric, check_names, keras_loss, reduce_losses, task_metrics


@registered
class Retrieval(Configured, keras.layers.Layer, tfrs.tasks.Task):
    """A retrieval task: stands in for `tfrs.tasks.Retrieval`, with the same call.

    Trains two towers to score a query's own candidate above the batch's others
    (`losses.InBatchSoftmax` has the formula), and updates metrics. What TFRS's task lacks:

    - the candidates of all replicas are negatives, so two replicas train as one big batch does;
    - the logQ correction finds its probabilities by itself (`frequency`), also for mixed negatives
      (`negatives`, and further rows), without a floor at 1e-6;
    - a user's other positives are no negatives (`positive_ids`);
    - everything is float32 under mixed precision;
    - a metric that is not computed reads NaN instead of 0.

    One thing differs on purpose: the loss is the weighted mean over the whole batch, not the sum,
    so that the learning rate does not depend on the batch size. A Keras loss with `reduction="sum"`
    gives the sum.

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
        learn_temperature: Whether the temperature is a weight that `temperature` initialises.
        frequency: Says how likely a row of the batch is to hold an item, for the logQ correction:
            `negatives.ItemFrequency` (counted) or `negatives.StreamingFrequency` (estimated).
        negatives: Draws further negatives, such as `negatives.Uniform(256)`.
        extra_frequency: As `frequency`, for candidates beyond the queries' own.
        known: The items that each user knows (`negatives.KnownItems`), which are no negatives of
            this user; needs `user_ids`.
        **kwargs: As every Keras layer.

    Raises:
        ValueError: If a call lacks what an argument needs, or two metrics have one name.

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
        frequency: Any = None,
        negatives: Any = None,
        extra_frequency: Any = None,
        known: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "name": name, "dtype": "float32"})
        self._loss = keras_loss(loss, None)
        self.softmax = InBatchSoftmax(
            1.0 if temperature is None else temperature,
            learn_temperature,
            remove_accidental_hits,
            num_hard_negatives,
            frequency,
            negatives,
            extra_frequency,
            known,
            name=f"{self.name}_softmax",
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
        elif not isinstance(value, Sequence):
            value = [value]
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
        item_vectors: Callable[[tf.Tensor], tf.Tensor] | None = None,
        num_items: int | None = None,
        training: bool = True,
        user_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the loss, and updates the metrics.

        Args:
            query_embeddings: `[num_queries, dim]`, or `[num_queries, heads, dim]` where a query's
                score is the largest of its heads' (metrics over the corpus are not computed then).
            candidate_embeddings: `[num_candidates, dim]`: each query's own candidate in the query's
                row, then further rows, if any, as negatives of all.
            sample_weight: `[num_queries]` weights of the queries, or a scalar.
            candidate_sampling_probability: `[num_candidates]`, how likely each candidate was to be
                drawn, where the caller knows it; takes the place of `frequency`. One that is 0 (or
                no number) counts as the least positive one: the candidate is there, after all.
            candidate_ids: `[num_candidates]` ids; metrics over the corpus compare them if given.
            compute_metrics: Whether to compute the metrics over the corpus.
            compute_batch_metrics: Whether to compute the metrics within the batch.
            score_mask: `[num_queries, num_candidates]` bool, False for a candidate that is no
                negative of the query. Candidates of other replicas it does not concern.
            candidate_log_probability: Logarithm of `candidate_sampling_probability`, in its place.
            positive_ids: `[num_queries, p]` integers, padded with 0: the user's other positives,
                which are no negatives.
            item_vectors: Gives the embeddings of the item ids that `negatives` draws.
            num_items: Number of items that `negatives` draws from.
            training: Whether a `StreamingFrequency` learns from the batch: pass on what
                `compute_loss` was given.
            user_ids: `[num_queries]`, whose queries they are, for known items.
        """
        queries = tf.cast(query_embeddings, tf.float32)
        candidates = tf.cast(candidate_embeddings, tf.float32)
        if candidate_sampling_probability is not None:
            if candidate_log_probability is not None:
                raise ValueError(
                    f"{self.name}: give candidate_sampling_probability or "
                    "candidate_log_probability, not both."
                )
            probability = tf.cast(candidate_sampling_probability, tf.float32)
            positive = probability > 0
            least = tf.reduce_min(tf.where(positive, probability, 1.0))
            candidate_log_probability = tf.math.log(tf.where(positive, probability, least))
        batch = self.softmax.logits(
            queries,
            candidates,
            candidate_ids,
            candidate_log_probability,
            positive_ids,
            score_mask,
            item_vectors,
            num_items,
            training,
            user_ids,
        )
        labels = tf.one_hot(batch.positive, tf.shape(batch.logits)[1])
        if self._loss is None:
            reduced = reduce_losses(self.softmax.losses_of(batch), sample_weight)
        else:
            losses = self._loss.call(labels, batch.logits)
            reduced = reduce_losses(losses, sample_weight, self._loss.reduction)

        for metric in self._loss_metrics:
            metric.update_state(reduced.reported, sample_weight=reduced.weight)
        if compute_metrics and queries.shape.rank == 2:
            self._update_corpus_metrics(queries, candidates, candidate_ids, sample_weight)
        if compute_batch_metrics:
            for metric in self._batch_metrics:
                metric.update_state(labels, batch.logits, sample_weight=sample_weight)
        return reduced.loss

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
