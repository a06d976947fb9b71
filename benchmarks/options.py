"""What each option of SASRec brings on MovieLens-1M and Amazon Beauty, paired by user and seed.

Every run has the recipe's settings with vectors of 64 numbers, so that three seeds of all options
take hours and not days. Options are compared on the validation users; the test is not looked at.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Command
from benchmarks.recipes import train
from benchmarks.report import RESULTS, fill, mean_sd, publish, table
from tfrecs.evaluation import Comparison, evaluate
from tfrecs.training import Run

SMALL = ("--model.dim", "64")
RECIPES = {
    "ml-1m": ("sasrec-ml-1m", (*SMALL, "--model.dropout", "0.1", "--batch_size", "32")),
    "beauty": ("sasrec-beauty", (*SMALL, "--model.dropout", "0.4")),
}
LIGR = ("--model.block", "ligr")
SMOOTHING = (
    "--model.loss",
    "tfrecs.losses.FullSoftmax",
    "--model.loss.label_smoothing",
    "0.1",
)
FREQUENCY = "tfrecs.negatives.StreamingFrequency"
IN_BATCH = (
    *("--model.loss", "tfrecs.losses.SampledSoftmax", "--model.loss.logq", "corrected"),
    *("--model.loss.negatives", "tfrecs.negatives.InBatch"),
    *("--model.loss.negatives.frequency", FREQUENCY),
    *("--model.loss.negatives.frequency.num_buckets", "20000"),
)
OPTIONS: dict[str, tuple[str, ...]] = {
    "as published": (),
    "LiGR gates and SwiGLU": (*LIGR, "--model.hidden_dim", "128"),
    "HSTU blocks": ("--model.block", "hstu"),
    "relative positions": ("--model.position", "relative"),
    "rotary positions": ("--model.position", "rotary"),
    "causal filter of 16": ("--model.filter_size", "16"),
    "label smoothing .1": SMOOTHING,
    "negatives of the batch, corrected logQ": IN_BATCH,
    "4 blocks": ("--model.num_blocks", "4"),
    "8 LiGR blocks": (*LIGR, "--model.hidden_dim", "64", "--model.num_blocks", "8"),
}
METRICS = ("HR@10", "NDCG@10")


def users_of(folder: Path) -> dict[str, np.ndarray]:
    """Each validation user's metrics under the run's best weights, kept in a file beside it."""
    kept = folder / "validation-users.json"
    if not kept.exists():
        run = Run(folder)
        report = evaluate(run.load_model(), run.load_split().validation, (10,), baselines=False)
        values = {name: report.per_user[name].tolist() for name in METRICS}
        kept.write_text(json.dumps(values))
    return {name: np.array(values) for name, values in json.loads(kept.read_text()).items()}


def measured(
    data: str, option: str, flags: Sequence[str], seeds: Sequence[int], output: Path
) -> dict[str, Any]:
    """Trains an option with each seed; returns users' metrics by seed, and seconds an epoch."""
    recipe, small = RECIPES[data]
    users, seconds = [], []
    for seed in seeds:
        folder = output / f"{data}-{option.replace(' ', '-')}-{seed}"
        run = train(recipe, seed, folder, (*small, *flags))
        users.append(users_of(folder))
        seconds.append(run["train_seconds"] / run["epochs"])
    return {"users": users, "seconds": float(np.median(seconds))}


def row(option: str, found: dict[str, Any], base: dict[str, Any] | None) -> dict[str, str]:
    """One line of the table: means over seeds, and the difference from the base of each user."""
    cells = {"option": option, "s an epoch": f"{found['seconds']:.1f}"}
    for metric in METRICS:
        cells[metric] = mean_sd([users[metric].mean() for users in found["users"]])
    cells |= {"difference in NDCG@10": "", "p": ""}
    if base is not None:
        each = [
            {"NDCG@10": np.mean([users["NDCG@10"] for users in runs["users"]], axis=0)}
            for runs in (found, base)
        ]
        difference = Comparison.of((option, "base"), *each)["NDCG@10"]
        low, high = difference.low, difference.high
        cells["difference in NDCG@10"] = f"{difference.difference:+.4f} [{low:+.4f}, {high:+.4f}]"
        cells["p"] = f"{difference.p_value:.3f}"
    return cells


def main() -> None:
    parser = Command("options", __doc__, output=False)
    add = parser.add_argument
    add("--data", nargs="+", choices=sorted(RECIPES), default=sorted(RECIPES))
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--only", nargs="+", choices=[*OPTIONS], default=[*OPTIONS], metavar="OPTION")
    add("--epochs", type=int, help="train each run for so many; default as the recipe")
    add("--runs", type=Path, default=Path("runs/options"), help="where runs are kept")
    options = parser.parse_args()
    chosen = ["as published", *(name for name in options.only if name != "as published")]
    more = () if options.epochs is None else ("--epochs", str(options.epochs))
    parts = []
    for data in options.data:
        recipe, small = RECIPES[data]
        rows, base = [], None
        for name in chosen:
            found = measured(data, name, (*OPTIONS[name], *more), options.seeds, options.runs)
            rows.append(row(name, found, base))
            base = base or found
        flags = " ".join((*small, *more))
        parts.append(f"### {data}: `--recipe {recipe} {flags}`\n\n{table(rows)}")
    command = f"python -m benchmarks.options --data {' '.join(options.data)}"
    command += f" --seeds {' '.join(map(str, options.seeds))}"
    if options.epochs is not None:
        command += f" --epochs {options.epochs}"
    text = fill("options", command=command, parts="\n\n".join(parts))
    publish("options", text, RESULTS if len(chosen) == len(OPTIONS) else None)


if __name__ == "__main__":
    main()
