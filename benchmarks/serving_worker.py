"""TFRS's `BruteForce` or tfrecs's `BlockTopK`, as a worker of `benchmarks.serving`."""

from __future__ import annotations

from benchmarks.keras_worker import PACKAGES
from benchmarks.search_worker import SearchSettings, run
from benchmarks.worker import parse_settings
from tfrecs._keras import tf, tfrs
from tfrecs.serving import BlockTopK


def main() -> None:
    """Searches until the parent says stop."""
    settings: SearchSettings = parse_settings(SearchSettings)
    vectors, queries = settings.load()
    layers = {"brute_force": tfrs.layers.factorized_top_k.BruteForce, "block_top_k": BlockTopK}
    index = layers[settings.layer](k=settings.k).index(tf.constant(vectors))
    search = tf.function(index, input_signature=[tf.TensorSpec([None, vectors.shape[1]])])
    batch = tf.constant(queries)
    run(settings, lambda: search(batch)[1].numpy(), ["tfrecs", *PACKAGES])


if __name__ == "__main__":
    main()
