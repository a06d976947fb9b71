"""faiss's exact index of inner products, for `benchmarks.serving`."""

# Absolute imports: this is `benchmarks.peers.faiss`, and that is the package.
import faiss

from benchmarks.serving import Settings, search_again
from benchmarks.worker import Worker


def search(settings: Settings, worker: Worker) -> None:
    vectors, queries = settings.load()
    faiss.omp_set_num_threads(settings.threads)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    del vectors
    packages = ["faiss-cpu", "numpy"]
    search_again(settings, worker, lambda: index.search(queries, settings.k)[1], packages)
