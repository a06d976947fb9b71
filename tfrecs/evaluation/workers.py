"""One worker of several, the chief, evaluates for all and tells the others."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from tfrecs._keras import tf


class ChiefError(RuntimeError):
    """The chief failed in its work for all workers; its own error says more."""


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Returns how many processes a strategy joins."""
    resolver = strategy.cluster_resolver
    if resolver is None or not strategy.extended._in_multi_worker_mode():
        return 1
    jobs = resolver.cluster_spec().as_dict()
    return sum(len(jobs.get(job, ())) for job in ("chief", "worker")) or 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the worker of a strategy that evaluates and writes."""
    if num_workers(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return True
    first = resolver.task_type == "worker" and resolver.task_id == 0
    return first and not resolver.cluster_spec().as_dict().get("chief")


def from_chief(strategy: tf.distribute.Strategy, make: Callable[[], Any]) -> Any:
    """Returns on every worker what the chief makes; all workers must call it, in the same order.

    With one worker it returns `make()`. A measurement is taken once, and a decision that depends on
    it, such as stopping early, is the same on all workers.

    Args:
        strategy: The strategy.
        make: Called on the chief alone; returns something that JSON can hold.

    Raises:
        ChiefError: On the other workers, if `make` raised an error on the chief.
    """
    if num_workers(strategy) == 1:
        return make()
    said: dict[str, Any] = {}
    failure: Exception | None = None
    if is_chief(strategy):
        try:
            said = {"value": make()}
        except Exception as error:
            said, failure = {"error": f"{type(error).__name__}: {error}"}, error
    text = json.dumps(said).encode()
    size = int(_gathered(strategy, [len(text)])[0, 0])  # All replicas gather equally many numbers.
    content = np.frombuffer(text, np.uint8) if is_chief(strategy) else np.zeros(size, np.int32)
    heard = json.loads(_gathered(strategy, content)[0].astype(np.uint8).tobytes())
    if failure is not None:
        raise failure
    if "error" in heard:
        raise ChiefError(f"The chief of the workers failed: {heard['error']}")
    return heard["value"]


def largest(strategy: tf.distribute.Strategy, number: int) -> int:
    """Returns the largest of the workers' numbers; all must call it, after the same step.

    A worker that is told to stop or save thus does it after the same step as all others.
    """
    return number if num_workers(strategy) == 1 else int(_gathered(strategy, [number]).max())


def _gathered(strategy: tf.distribute.Strategy, numbers: Any) -> np.ndarray:
    """Returns the numbers of all replicas, a row each; the first replica is the chief's."""
    everywhere = _gather(strategy)(tf.constant(numbers, tf.int32))
    return strategy.experimental_local_results(everywhere)[0].numpy()


@functools.cache
def _gather(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], Any]:
    def of_replica(mine: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().all_gather(mine[tf.newaxis], axis=0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def run(numbers: tf.Tensor) -> Any:
        return strategy.run(of_replica, (numbers,))

    return run
