"""Losses of a list's order: pairwise and listwise, as Keras losses."""

from __future__ import annotations

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered

# A score of padding. Half the minimum, so that its difference to others is a number too.
_MASKED = tf.float32.min / 2
TARGETS = ("softmax", "proportional")


class ListLoss(Configured, keras.losses.Loss):
    """Base of the losses that judge the order of a list's scores by its graded labels.

    Lists are rows, `[batch, list]`; a label below 0, such as -1, is padding. In `tasks.Ranking` a
    list that has nothing to order has weight 0 in the mean.
    """

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each list, `[batch]`, from labels and scores, `[batch, list]`."""
        labels = tf.cast(y_true, tf.float32)
        valid = labels >= 0
        return self.list_loss(labels, tf.where(valid, tf.cast(y_pred, tf.float32), 0.0), valid)

    def list_loss(self, labels: tf.Tensor, scores: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each list; `valid` says what is no padding."""
        raise NotImplementedError(f"{type(self).__name__} must implement list_loss.")

    def list_weight(self, y_true: tf.Tensor) -> tf.Tensor:
        """Returns 1 for each list that has something to order and 0 for others, `[batch]`."""
        count = tf.reduce_sum(tf.cast(tf.cast(y_true, tf.float32) >= 0, tf.int32), axis=1)
        return tf.cast(count > 1, tf.float32)


class _PairLoss(ListLoss):
    """Averages a loss of the score difference over all pairs of a list whose labels differ."""

    def pair_loss(self, difference: tf.Tensor) -> tf.Tensor:
        """Returns the loss of pairs whose better item scores higher by `difference`."""
        raise NotImplementedError

    def list_loss(self, labels: tf.Tensor, scores: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each list; `valid` says what is no padding."""
        pairs = _pairs(labels)
        losses = self.pair_loss(scores[:, :, tf.newaxis] - scores[:, tf.newaxis, :])
        return tf.math.divide_no_nan(
            tf.reduce_sum(pairs * losses, axis=[1, 2]), tf.reduce_sum(pairs, axis=[1, 2])
        )

    def list_weight(self, y_true: tf.Tensor) -> tf.Tensor:
        """Returns 1 for each list with two unequal labels and 0 for others, `[batch]`."""
        return tf.reduce_max(_pairs(tf.cast(y_true, tf.float32)), axis=[1, 2])


@registered
class PairwiseLogistic(_PairLoss):
    """Logistic loss of pairs: RankNet (Burges et al., 2005); with one positive BPR (Rendle, 2009).

        loss = mean over pairs with y_i > y_j of -log sigmoid(s_i - s_j)

    Args:
        reduction: As every Keras loss.
        name: As every Keras loss.

    Example:
        >>> import tfrecs
        >>> loss = tfrecs.losses.PairwiseLogistic()
        >>> round(float(loss([[1, 0, -1]], [[2.0, 2.0, 9.0]])), 4)  # log(2)
        0.6931
    """

    def __init__(self, reduction: str = "auto", name: str = "pairwise_logistic") -> None:
        super().__init__(reduction=reduction, name=name)

    def pair_loss(self, difference: tf.Tensor) -> tf.Tensor:
        """Returns the loss of pairs whose better item scores higher by `difference`."""
        return tf.nn.softplus(-difference)


@registered
class PairwiseHinge(_PairLoss):
    """Hinge loss of pairs (ranking SVM; Joachims, KDD 2002).

        loss = mean over pairs with y_i > y_j of max(0, margin - (s_i - s_j))

    Args:
        margin: By how much the better item should score higher.
        reduction: As every Keras loss.
        name: As every Keras loss.

    Example:
        >>> import tfrecs
        >>> loss = tfrecs.losses.PairwiseHinge()
        >>> round(float(loss([[1, 0, 0]], [[2.0, 1.5, 0.0]])), 4)
        0.25
    """

    def __init__(
        self, margin: float = 1.0, reduction: str = "auto", name: str = "pairwise_hinge"
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.margin = margin

    def pair_loss(self, difference: tf.Tensor) -> tf.Tensor:
        """Returns the loss of pairs whose better item scores higher by `difference`."""
        return tf.nn.relu(self.margin - difference)


@registered
class ListNet(ListLoss):
    """Cross-entropy between the list's labels and scores as distributions (Cao et al., ICML 2007).

        loss = -sum_i t_i log softmax(s)_i

    Args:
        targets: How labels y become t: "softmax", exp(y_i) / sum_j exp(y_j), as in the paper; or
            "proportional", y_i / sum_j y_j, which gives nothing to items of label 0 (for clicks).
        reduction: As every Keras loss.
        name: As every Keras loss.

    Raises:
        ValueError: If `targets` is neither of the two.

    Example:
        >>> import tfrecs
        >>> loss = tfrecs.losses.ListNet("proportional")
        >>> round(float(loss([[0, 1, -1]], [[2.0, 2.0, 9.0]])), 4)  # log(2)
        0.6931
    """

    def __init__(
        self, targets: str = "softmax", reduction: str = "auto", name: str = "list_net"
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        if targets not in TARGETS:
            raise ValueError(f"targets must be softmax or proportional, not {targets!r}.")
        self.targets = targets

    def list_loss(self, labels: tf.Tensor, scores: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each list; `valid` says what is no padding."""
        if self.targets == "softmax":
            targets = tf.nn.softmax(tf.where(valid, labels, _MASKED))
        else:
            targets = tf.where(valid, labels, 0.0)
            targets = tf.math.divide_no_nan(targets, tf.reduce_sum(targets, 1, keepdims=True))
        log_softmax = tf.nn.log_softmax(tf.where(valid, scores, _MASKED))
        return -tf.reduce_sum(tf.where(valid, targets * log_softmax, 0.0), axis=1)

    def list_weight(self, y_true: tf.Tensor) -> tf.Tensor:
        """Returns 1 for each list that has something to order and 0 for others, `[batch]`."""
        weight = ListLoss.list_weight(self, y_true)
        if self.targets == "proportional":
            weight *= tf.cast(tf.reduce_any(tf.cast(y_true, tf.float32) > 0, axis=1), tf.float32)
        return weight


@registered
class ListMLE(ListLoss):
    """Negative log-likelihood of the labels' order under Plackett-Luce (Xia et al., ICML 2008).

        loss = sum_i (log(sum_{j >= i} exp(s_(j))) - s_(i)),   (i) the item at place i

    of the list sorted by label, the largest first. Equal labels stay in the given order, so put
    them into a random one.

    Args:
        reduction: As every Keras loss.
        name: As every Keras loss.

    Example:
        >>> import tfrecs
        >>> loss = tfrecs.losses.ListMLE()
        >>> round(float(loss([[1, 3, 2, -1]], [[0.0, 0.0, 0.0, 9.0]])), 4)  # log(3) + log(2)
        1.7918
    """

    def __init__(self, reduction: str = "auto", name: str = "list_mle") -> None:
        super().__init__(reduction=reduction, name=name)

    def list_loss(self, labels: tf.Tensor, scores: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each list; `valid` says what is no padding."""
        order = tf.argsort(labels, direction="DESCENDING", stable=True)
        # Padding has the smallest labels, so it comes last.
        valid = tf.gather(valid, order, batch_dims=1)
        scores = tf.where(valid, tf.gather(scores, order, batch_dims=1), _MASKED)
        rest = tf.math.cumulative_logsumexp(scores, axis=1, reverse=True)
        return tf.reduce_sum(tf.where(valid, rest - scores, 0.0), axis=1)


def _pairs(labels: tf.Tensor) -> tf.Tensor:
    """Returns 1.0 at `[b, i, j]` where item i of list b should score above item j."""
    better, worse = labels[:, :, tf.newaxis], labels[:, tf.newaxis, :]
    return tf.cast((better > worse) & (worse >= 0), tf.float32)
