"""Tasks: embeddings or predictions in, a loss out and metrics updated, as TFRS has it."""

from tfrecs.tasks.multi_task import MultiTask
from tfrecs.tasks.ranking import Ranking
from tfrecs.tasks.retrieval import Retrieval

__all__ = ["MultiTask", "Ranking", "Retrieval"]
