"""Quality of the recipes, and of the main jobs: several seeds of each, by `tfrecs train` itself.

A run that is finished is not trained again but read, unless the recipe has changed; one that was
stopped is resumed.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import tfrecs
from benchmarks.harness import Command
from benchmarks.report import fill, mean_sd, pair, publish, table

# Jobs that are no recipes: their settings are the defaults.
JOBS = {"ml-100k": [], "ml-100k-clicks": ["--model", "deep-cross"]}
LISTS, ROWS = ("HR@10", "NDCG@10", "HR@20", "NDCG@20"), ("AUC", "LogLoss")
# Published by others on the same file and protocol, and what the recipe aims at.
AIMS = {
    "ml-100k": "NDCG@10 .1080 in under 4 minutes from start to report",
    "sasrec-ml-1m": "HR@10 .3300, NDCG@10 .1910 (published SASRec: .3207/.1858 at best)",
    "ml-100k-clicks": "above RecBole's DCN-V2, AUC .8570, log loss .4116",
    "deep-cross-ml-1m": "AUC .9020, log loss .3100 (RecBole's DCN-V2: .8998 / .3119)",
    "mf-ml-1m-ncf": "HR@10 .7320, NDCG@10 .4540 (published: .7294/.4523)",
    "gmf-ml-1m-ncf": "NeuMF's: HR@10 .7093, NDCG@10 .4349",
    "mlp-ml-1m-ncf": "NeuMF's: HR@10 .7093, NDCG@10 .4349",
    "neumf-ml-1m-ncf": "HR@10 .7093, NDCG@10 .4349, as published",
    "bert4rec-beauty": "HR@10 .0800, NDCG@10 .0470 (published: .0692/.0400)",
    "caser-beauty-attributes": "HR@10 .0930, NDCG@10 .0570 (published: .0347/.0176)",
    "gru4rec-beauty-attributes": "HR@10 .0985, NDCG@10 .0600 (published: .0638/.0356)",
    "sasrec-beauty-attributes": "HR@10 .1045, NDCG@10 .0625 (published: .1041/.0614)",
    "sasrec-beauty": "HR@10 .0990, NDCG@10 .0600, a run under 6 minutes (published: .0974/.0588)",
}


def train(name: str, seed: int, folder: Path, more: Sequence[str] = ()) -> dict[str, Any]:
    """Trains a recipe or job with `more` flags, unless its run is finished; returns its metrics."""
    arguments = [*JOBS.get(name, ["--recipe", name]), *more, "--seed", str(seed)]
    recipe = {}
    if name not in JOBS:
        recipe["recipe"] = yaml.safe_load(tfrecs.recipes.path(name).read_text(encoding="utf-8"))
    return train_with(arguments, folder, **recipe)


def train_with(arguments: Sequence[str], folder: Path, **more: Any) -> dict[str, Any]:
    """Runs `tfrecs train` with flags, unless its run is finished; returns its metrics.

    `more` are settings that the flags name, such as those of a recipe.
    """
    settings, metrics = folder.with_name(f"{folder.name}.settings.json"), folder / "metrics.json"
    wanted = {"arguments": [*arguments], "version": tfrecs.__version__, **more}
    begun = folder.is_dir() and any(folder.iterdir())
    if begun and (not settings.exists() or json.loads(settings.read_text()) != wanted):
        raise SystemExit(f"{folder} holds a run of other settings; remove it or name --output.")
    if not (metrics.exists() and json.loads(metrics.read_text())["finished"]):
        folder.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(wanted))
        flags = ["--resume", str(folder)] if begun else [*arguments, "--output", str(folder)]
        subprocess.run([sys.executable, "-m", "tfrecs", "train", *flags], check=True)
    return json.loads(metrics.read_text())


def section(name: str, seeds: Sequence[int], runs: Sequence[dict[str, Any]]) -> str:
    what = " ".join(["tfrecs train", *JOBS.get(name, ["--recipe", name])])
    first = runs[0]
    metrics, ranked = (
        (LISTS, ", ties against the target") if "HR@10" in first["test"] else (ROWS, "")
    )
    if ranked and "candidates" not in first["protocol"]:
        ranked = f", full ranking, seen items masked{ranked}"

    def values(found: dict[str, float]) -> dict[str, str]:
        return {f"test {metric}": f"{found[metric]:.4f}" for metric in metrics}

    rows: list[dict[str, Any]] = [
        {
            "seed": seed,
            "epochs": run["epochs"],
            "best": run["best_epoch"],
            "training, s": f"{run['train_seconds']:.0f}",
            f"validation {' / '.join(metrics[:2])}": pair(run["validation"], metrics[:2]),
            **values(run["test"]),
        }
        for seed, run in zip(seeds, runs, strict=True)
    ]
    if len(runs) > 1:
        means = {f"test {m}": mean_sd([run["test"][m] for run in runs], "**") for m in metrics}
        seconds = statistics.mean(run["train_seconds"] for run in runs)
        rows.append({"seed": "mean ± sd", "training, s": f"{seconds:.0f}", **means})
    rows += [{"seed": baseline, **values(found)} for baseline, found in first["baselines"].items()]
    given = {"name": "the main job" if name == "ml-100k" else name, "ranked": ranked}
    given |= {"job": what, "first": first, "aim": AIMS[name], "table": table(rows)}
    command = f"python -m benchmarks.recipes {name} --seeds {' '.join(map(str, seeds))}"
    return fill("recipe", command=command, **given)


def main() -> None:
    parser = Command("recipes", __doc__, output=False)
    add = parser.add_argument
    add("names", nargs="+", choices=sorted(AIMS), metavar="NAME", help=str(AIMS))
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--output", type=Path, default=Path("runs/recipes"), help="where runs are kept")
    options = parser.parse_args()
    for name in options.names:
        runs = [train(name, seed, options.output / f"{name}-{seed}") for seed in options.seeds]
        publish(name, section(name, options.seeds, runs))


if __name__ == "__main__":
    main()
