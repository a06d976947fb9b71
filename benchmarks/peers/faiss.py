"""faiss's exact index of inner products, as a worker of `benchmarks.serving`."""

from __future__ import annotations

# Absolute imports: this is `benchmarks.peers.faiss`, and that is the package.
import faiss

from benchmarks.search_worker import SearchSettings, run
from benchmarks.worker import parse_settings


def main() -> None:
    """Searches until the parent says stop."""
    settings: SearchSettings = parse_settings(SearchSettings)
    vectors, queries = settings.load()
    faiss.omp_set_num_threads(settings.threads)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    del vectors
    run(settings, lambda: index.search(queries, settings.k)[1], ["faiss-cpu", "numpy"])


if __name__ == "__main__":
    main()
