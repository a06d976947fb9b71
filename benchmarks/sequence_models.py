"""Speed of GRU4Rec, BERT4Rec and Caser beside those of RecBole, RecTools and RePlay."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import protocol
from benchmarks.harness import Command, Limits, Outcome, Record, compare, conclude, select
from benchmarks.report import count, fill, rate, short, table
from benchmarks.worker import TENSORFLOW, Worker, WorkerSettings

TFRECS = "benchmarks.sequence_models:train"
RECBOLE = "benchmarks.peers.recbole:train_sequence_model"
RECTOOLS = "benchmarks.peers.rectools:train_bert4rec"
REPLAY = "benchmarks.peers.replay:train_bert4rec"
AIM = 3.0  # Times the targets a second of each peer.


@dataclass(frozen=True)
class Settings(WorkerSettings):
    model: str  # "GRU4Rec", "BERT4Rec" or "Caser".
    data: str  # A file that `protocol.read_rows` reads.
    dim: int = 64
    hidden_dim: int = 128  # Of the recurrent state, or of BERT4Rec's feed-forward layers.
    num_blocks: int = 2
    num_heads: int = 2
    window: int = 8  # Of Caser; RecBole's reads no more items either.
    max_length: int = 50
    dropout: float = 0.2
    mask_probability: float = 0.2
    prefixes: float = 0.5  # Share of BERT4Rec's sequences of which the last item alone is masked.
    batch_size: int = 128
    learning_rate: float = 1e-3
    threads: int = 2  # Of a peer.
    seed: int = 0
    evaluate: bool = False


def plan(folder: Path, threads: int, only: str | None = None) -> dict[str, list[Record]]:
    data = str((folder / "amazon-beauty.txt.gz").resolve())

    def record(model: str, name: str, label: str, trainer: str, **more: Any) -> Record:
        settings = Settings(model, data, threads=threads, **more)
        return Record(f"{name}-{model.lower()}", label, trainer, settings)

    def group(model: str, **more: Any) -> list[Record]:
        return [
            record(model, "tfrecs", "tfrecs", TFRECS, **more),
            record(model, "recbole", "RecBole", RECBOLE, **more),
        ]

    groups = {
        "GRU4Rec": group("GRU4Rec"),
        "Caser": group("Caser", max_length=8),
        "BERT4Rec": [
            *group("BERT4Rec"),
            record("BERT4Rec", "rectools", "RecTools", RECTOOLS),
            record("BERT4Rec", "replay", "RePlay", REPLAY),
        ],
    }
    return select(groups, only)


def train(settings: Settings, worker: Worker) -> None:
    """Trains tfrecs by `model.fit`, from the log on, TensorFlow choosing its threads."""
    import tfrecs

    split = protocol.read(settings.data)
    parts = tfrecs.data.leave_last_out(tfrecs.data.read(settings.data))
    # Caser reads a window of each prefix, and RecBole trains on every prefix.
    length = 50 if settings.model == "Caser" else settings.max_length
    given = settings.take("dim", "dropout", "seed") | {"max_length": length}
    more = {
        "GRU4Rec": settings.take("hidden_dim"),
        "BERT4Rec": settings.take(
            "hidden_dim", "num_blocks", "num_heads", "mask_probability", "prefixes"
        ),
        "Caser": {"window": settings.window, "horizontal_filters": 8},
    }
    model = getattr(tfrecs.models, settings.model).from_split(
        parts, **given, **more[settings.model]
    )
    model.compile(tfrecs.optimizers.Adam(settings.learning_rate))
    sequences = parts.train.sequences(length, windows="last")
    targets = sequences.num_targets
    if settings.model == "BERT4Rec":
        # The last item of each sequence, and masks among the others of those that are not cut.
        rows = len(sequences)
        others = (1 - settings.prefixes) * settings.mask_probability * (targets - rows)
        targets = round(rows + others)
    batches = sequences.batch(settings.batch_size, seed=settings.seed)
    worker.ready(["tfrecs", *TENSORFLOW], targets, num_items=split.num_items)
    worker.fit(model, batches, targets)


def rows_of(groups: dict[str, list[Record]]) -> list[dict[str, str]]:
    rows = []
    for model, records in groups.items():
        ours = next((r for r in records if r.name.startswith("tfrecs") and r.rates), None)
        for record in records:
            times = ""
            if ours is not None and record is not ours and record.rates:
                times = f"{ours.rate / record.rate:.1f}"
            rows.append(
                {
                    "model": model,
                    "trainer": record.label,
                    "targets/s (slowest–fastest turn)": rate(record),
                    "targets an epoch": count(record.ready.get("targets_per_epoch", 0)),
                    "s an epoch": short(record.seconds_per_epoch) if record.rates else "",
                    "times as fast is tfrecs": times,
                }
            )
    return rows


def section(options: argparse.Namespace, outcome: Outcome) -> str:
    text = table(rows_of(outcome.groups), right=True)
    return fill(
        "sequence-models", options=options, table=text, aim=f"{AIM:g}", ending=outcome.ending
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Command("sequence_models", __doc__, data=True)
    parser.add_turns(minutes=1, quick=Limits(seconds=20, turn=5, timed_turns=2))
    options = parser.read(arguments)
    folder = parser.folder(options.data)
    options.groups = parser.checked(plan, folder, options.threads, options.only)
    return options


def main() -> None:
    options = parse_arguments()
    outcome = compare(options, options.groups)
    conclude("sequence-models", options, outcome, section(options, outcome))


if __name__ == "__main__":
    main()
