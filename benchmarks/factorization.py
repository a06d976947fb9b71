"""Matrix factorization of tfrecs beside `implicit` and LightFM: quality, and seconds to it."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import protocol
from benchmarks.harness import Command, Limits, Outcome, Record, compare, conclude, select
from benchmarks.report import NONE, epochs, fill, quality, short, table, time_to
from benchmarks.worker import TENSORFLOW, Worker, WorkerSettings

DATA = "ml-1m-sequences.txt.gz"
TFRECS = "benchmarks.factorization:train"
IMPLICIT, LIGHTFM = "benchmarks.peers.implicit:train", "benchmarks.peers.lightfm:train"
# The better of these on validation is the quality to reach.
BAR = ("implicit-bpr", "lightfm-warp")


@dataclass(frozen=True)
class Settings(WorkerSettings):
    data: str  # A file that `protocol.read_rows` reads.
    loss: str  # "bpr", "warp", "softmax" or, of `implicit` alone, "als".
    dim: int = 64
    learning_rate: float = 0.05  # `als` has none.
    regularization: float = 0.0  # As the trainer itself counts it.
    num_negatives: int = 10  # Of tfrecs's BPR; the most trials of WARP.
    num_drawn: int = 0  # Of these the `num_negatives` with the highest scores; 0 draws no more.
    batch_size: int = 4096  # Pairs a step of tfrecs.
    alpha: float = 1.0  # Weight of what `als` has observed.
    threads: int = 2  # Of a peer.
    seed: int = 0
    evaluate = True

    def __str__(self) -> str:
        rate = "" if self.loss == "als" else f", rate {self.learning_rate:g}"
        return f"d{self.dim}{rate}, regularization {self.regularization:g}"


def plan(folder: Path, threads: int, only: str | None = None) -> dict[str, list[Record]]:
    data = str((folder / DATA).resolve())

    def one(name: str, label: str, trainer: str, loss: str, *rates: float, **more: int) -> Record:
        given = dict(zip(("learning_rate", "regularization"), rates, strict=True))
        return Record(name, label, trainer, Settings(data, loss, threads=threads, **given, **more))

    bpr, hardest = "tfrecs, BPR, 4 negatives", "tfrecs, BPR, the 2 hardest of 8 negatives"
    of_8, warp = {"num_negatives": 2, "num_drawn": 8}, "tfrecs, WARP, 20 trials"
    records = [
        one("tfrecs-bpr", bpr, TFRECS, "bpr", 5e-3, 5e-3, num_negatives=4),
        one("tfrecs-bpr-hard", hardest, TFRECS, "bpr", 5e-3, 8e-3, **of_8),
        one("tfrecs-warp", warp, TFRECS, "warp", 5e-3, 0.1, num_negatives=20),
        one("tfrecs-softmax", "tfrecs, full softmax", TFRECS, "softmax", 5e-3, 0.02),
        one("implicit-bpr", "implicit, BPR", IMPLICIT, "bpr", 0.05, 0.01),
        one("implicit-als", "implicit, ALS", IMPLICIT, "als", 0.05, 0.1),
        one("lightfm-warp", "LightFM, WARP", LIGHTFM, "warp", 0.05, 0.0),
    ]
    return select({"all": records}, only)


def pairs(split: protocol.Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns users and items, both numbered from 0, of all training interactions."""
    users = np.repeat(np.arange(len(split.train)), [len(row) for row in split.train])
    return users, np.concatenate(split.train) - 1


def build(settings: Settings, train: Any) -> Any:
    """Returns tfrecs's model, compiled; no negative is an item that the user knows."""
    import tfrecs
    from tfrecs.negatives import Hardest, KnownItems, Uniform

    if settings.loss == "softmax":
        loss = tfrecs.losses.FullSoftmax()
    else:
        drawn = settings.num_drawn or settings.num_negatives
        known = KnownItems.from_train(train)
        negatives = Uniform(drawn, shared=False, seed=settings.seed, known=known)
        if settings.num_drawn:
            negatives = Hardest(settings.num_negatives, negatives)
        kind = {"bpr": tfrecs.losses.BPR, "warp": tfrecs.losses.WARP}[settings.loss]
        loss = kind(settings.num_negatives, negatives=negatives)
    given = settings.take("dim", "regularization", "seed")
    users = int(train.user_ids.max())
    model = tfrecs.models.MatrixFactorization(train.num_items, users, loss=loss, **given)
    # A softmax over all items touches every row.
    optimizer = "Adam" if settings.loss == "softmax" else "LazyAdam"
    model.compile(getattr(tfrecs.optimizers, optimizer)(settings.learning_rate))
    return model


def train(settings: Settings, worker: Worker) -> None:
    from tfrecs.data import Histories, TrainSet

    split = protocol.read(settings.data)
    users = np.arange(1, len(split.train) + 1, dtype=np.int32)
    part = TrainSet(Histories.from_lists(split.train), users, split.num_items)
    model = build(settings, part)
    examples = model.examples(part)
    worker.set_model(
        split,
        lambda _: model.query_vectors({"user_id": users}).numpy(),
        lambda: model.item_vectors().numpy(),
    )
    worker.ready(["tfrecs", *TENSORFLOW], examples.num_targets)
    batches = examples.batch(settings.batch_size, seed=settings.seed)
    worker.fit(model, batches, examples.num_targets, verbose=0)


def bar(records: Sequence[Record]) -> Record | None:
    """Returns the peer of the best validation NDCG@10 among those that are to be reached."""
    peers = [record for record in records if record.name in BAR and record.best]
    return max(peers, key=lambda record: record.best["validation"]["NDCG@10"], default=None)


def section(options: argparse.Namespace, outcome: Outcome) -> str:
    best = bar(outcome.records)
    ndcg = best.best["validation"]["NDCG@10"] if best else float("nan")
    value = f"s to validation NDCG@10 {ndcg:.4f}" if best else "s to the peers' best"
    rows = [
        {
            "trainer": record.label,
            "settings": record.settings,
            "s an epoch": short(record.seconds / (record.last_epoch or math.nan)),
            value: time_to(record, ndcg) if best else NONE,
            "epochs, best of": epochs(record),
            "validation HR@10 / NDCG@10": quality((record.best or {}).get("validation")),
            "test HR@10 / NDCG@10": quality((record.best or {}).get("test")),
        }
        for record in outcome.records
    ]
    of_whom = f"the best of {best.label}, the better of the two to be reached" if best else NONE
    given = {"of_whom": of_whom, "table": table(rows, right=True), "ending": outcome.ending}
    return fill("factorization", options=options, **given)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Command("factorization", __doc__, data=True)
    quick = Limits(seconds=10, turn=5, timed_turns=2)
    parser.add_turns(minutes=4, quick=quick, environment="factorization")
    text = "epochs without a better one (%(default)s)"
    parser.add_argument("--patience", type=int, default=8, help=text)
    options = parser.read(arguments)
    folder = parser.folder(options.data, DATA)
    options.groups = parser.checked(plan, folder, options.threads, options.only)
    return options


def main() -> None:
    options = parse_arguments()
    outcome = compare(options, options.groups)
    conclude("factorization", options, outcome, section(options, outcome))


if __name__ == "__main__":
    main()
