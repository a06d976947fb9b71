"""GRU4Rec and SASRec on the sessions of Diginetica and Tmall, beside published results.

Each is trained twice: without the validation sessions, which choose the number of epochs, and then
with them, as the published results are. Finished runs are not trained again, stopped ones resumed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Command
from benchmarks.recipes import train_with
from benchmarks.report import fill, mean_sd, publish, table

METRICS = ("HR@20", "MRR@20")
DATA = ("diginetica", "tmall")
# Flags of `tfrecs train`. Cosines matter most: on the last 8,000 training sessions of Diginetica,
# after 6 epochs at width 64, GRU4Rec had validation MRR@20 .216 by cosines and .072 by products.
COMMON = ["--split", "sessions", "--batch_size", "128", "--learning_rate", "0.002"]
COMMON += ["--schedule", "linear", "--model.similarity", "cosine"]
WIDE = ["--model.dim", "128", "--model.dropout", "0.3"]
MODELS = {
    "GRU4Rec": ["--model", "gru4rec", *WIDE],
    "SASRec": ["--model", "sasrec", *WIDE, "--model.num_blocks", "1"],
}
# HR@20 and MRR@20 of the same test lines, as published.
PUBLISHED = {
    "diginetica": {
        "SR-GNN": (0.5073, 0.1759),
        "SR-GNN, rerun": (0.5102, 0.1764),
        "MSGIFSR, best run seen": (0.5541, 0.1901),
    },
    "tmall": {},
}


def trained(model: str, data: Path, seed: int, epochs: int, runs: Path) -> dict[str, Any]:
    """Returns the metrics of both runs of a model: "chosen" on validation, and "final"."""
    flags = ["--data", str(data), *MODELS[model], *COMMON, "--seed", str(seed)]
    folder = runs / f"{model.lower()}-{data.name}-{seed}"
    chosen = train_with(
        [*flags, "--epochs", str(epochs), "--patience", "2"],
        folder.with_name(f"{folder.name}-chosen"),
    )
    whole = ["--split_args.train_on_validation", "true", "--patience", "null"]
    final = train_with([*flags, "--epochs", str(chosen["best_epoch"]), *whole], folder)
    return {"chosen": chosen, "final": final}


def rows_of(data: str, found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Returns the rows of a data set: the models' runs, popularity, and published results."""
    rows: list[dict[str, Any]] = []
    for model, runs in found.items():
        row = {"data": data, "model": model, "seeds": len(runs)}
        row["epochs"] = ", ".join(str(run["final"]["epochs"]) for run in runs)
        row["training, s"] = ", ".join(f"{run['final']['train_seconds']:.0f}" for run in runs)
        for part, which in (("validation", "chosen"), ("test", "final")):
            for metric in METRICS:
                row[f"{part} {metric}"] = mean_sd([run[which][part][metric] for run in runs])
        rows.append(row)
    popularity = next(iter(found.values()))[0]["final"]["baselines"]["popularity"]
    others = {"popularity": [popularity[metric] for metric in METRICS]}
    others |= {f"published: {name}": [*values] for name, values in PUBLISHED[data].items()}
    for name, values in others.items():
        given = {f"test {m}": f"{v:.4f}" for m, v in zip(METRICS, values, strict=True)}
        rows.append({"data": data, "model": name, **given})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("sessions", __doc__, data=True)
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[0], help="(%(default)s)")
    add("--sets", nargs="+", default=[*DATA], choices=DATA, help="of the data (%(default)s)")
    add("--models", nargs="+", default=[*MODELS], choices=MODELS, help="(%(default)s)")
    add("--epochs", type=int, default=10, help="most epochs (%(default)s)")
    add("--runs", type=Path, default=Path("runs/sessions"), help="where runs are kept")
    options = parser.read(arguments)
    files = [f"{name}/{part}.txt.gz" for name in options.sets for part in ("train", "test")]
    folder = parser.folder(options.data, *files)
    rows = []
    for data in options.sets:
        found = {
            model: [
                trained(model, (folder / data).resolve(), seed, options.epochs, options.runs)
                for seed in options.seeds
            ]
            for model in options.models
        }
        rows += rows_of(data, found)
    publish(
        "sessions", fill("sessions", command=options.command, table=table(rows)), options.output
    )


if __name__ == "__main__":
    main()
