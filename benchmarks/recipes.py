"""Quality of the recipes, and of the main job: several seeds of each, by `tfrecs train` itself.

`TFRECS_DATA=path/to/data python -m benchmarks.recipes sasrec-beauty --seeds 0 1 2` trains a recipe
once for each seed into `runs/recipes/NAME-SEED`, and writes the section of RESULTS.md of that
recipe from what the runs' metrics.json say. `ml-100k` names the main job, and `ml-100k-clicks` that
of `--model deep-cross`. A run that is finished is not trained again but read, unless the recipe has
changed; one that was stopped is resumed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import tfrecs
from benchmarks.results import environment, write_section

# Jobs that are no recipes: their settings are the defaults.
JOBS = {"ml-100k": [], "ml-100k-clicks": ["--model", "deep-cross"]}
LISTS = ("HR@10", "NDCG@10", "HR@20", "NDCG@20")
ROWS = ("AUC", "LogLoss")
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
    "sasrec-beauty": "HR@10 .0990, NDCG@10 .0600, a run under 6 minutes (published: .0974/.0588)",
}


def arguments(name: str, seed: int, more: Sequence[str] = ()) -> list[str]:
    """What `tfrecs train` is called with, but for the output."""
    source = JOBS.get(name, ["--recipe", name])
    return [*source, *more, "--seed", str(seed)]


def train(name: str, seed: int, folder: Path, more: Sequence[str] = ()) -> dict[str, Any]:
    """Trains one seed, unless its run is finished, and returns its metrics.

    Args:
        name: A recipe or job.
        seed: Its seed.
        folder: The run folder.
        more: Further flags of `tfrecs train`.
    """
    settings = folder.with_name(f"{folder.name}.settings.json")
    wanted = {"arguments": arguments(name, seed, more), "version": tfrecs.__version__}
    if name not in JOBS:
        recipe = Path(tfrecs.__file__).parent / "recipes" / f"{name}.yaml"
        wanted["recipe"] = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    begun = folder.is_dir() and any(folder.iterdir())
    if begun and (not settings.exists() or json.loads(settings.read_text()) != wanted):
        raise SystemExit(f"{folder} holds a run of other settings; remove it or name --output.")
    metrics = folder / "metrics.json"
    if not (metrics.exists() and json.loads(metrics.read_text())["finished"]):
        folder.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(wanted))
        command = (
            ["--resume", str(folder)] if begun else [*wanted["arguments"], "--output", str(folder)]
        )
        subprocess.run([sys.executable, "-m", "tfrecs", "train", *command], check=True)
    return json.loads(metrics.read_text())


def section(name: str, seeds: list[int], runs: list[dict[str, Any]]) -> str:
    """The section of a recipe."""
    what = f"`{' '.join(['tfrecs train', *JOBS.get(name, ['--recipe', name])])}`"
    first = runs[0]
    lists = LISTS[0] in first["test"]
    metrics = LISTS if lists else ROWS
    ranked = ""
    if lists:
        full = "candidates" not in first["protocol"]
        ranked = ", full ranking, seen items masked" if full else ""
        ranked += ", ties against the target"
    lines = [
        f"## Quality: {'the main job' if name == 'ml-100k' else name}",
        "",
        f"`python -m benchmarks.recipes {name} --seeds {' '.join(map(str, seeds))}`: {what} on "
        f"{first['data']}, {first['protocol']}, {first['num_users']:,} users, "
        f"{first['num_items']:,} items{ranked}. "
        f"Chosen on validation; the test is looked at once a run. Aim: {AIMS[name]}.",
        "",
        f"| seed | epochs | best | training, s | validation {' / '.join(metrics[:2])} | "
        + " | ".join(f"test {metric}" for metric in metrics)
        + " |",
        "|---" * (5 + len(metrics)) + "|",
    ]
    for seed, run in zip(seeds, runs, strict=True):
        validation = run["validation"]
        lines.append(
            f"| {seed} | {run['epochs']} | {run['best_epoch']} | {run['train_seconds']:.0f} | "
            f"{' / '.join(f'{validation[metric]:.4f}' for metric in metrics[:2])} | "
            + " | ".join(f"{run['test'][metric]:.4f}" for metric in metrics)
            + " |"
        )
    if len(runs) > 1:
        columns = [[run["test"][metric] for run in runs] for metric in metrics]
        means = " | ".join(
            f"**{statistics.mean(column):.4f}** ± {statistics.stdev(column):.4f}"
            for column in columns
        )
        seconds = statistics.mean(run["train_seconds"] for run in runs)
        lines.append(f"| mean ± sd | | | {seconds:.0f} | | {means} |")
    for baseline, found in first["baselines"].items():
        values = " | ".join(f"{found[metric]:.4f}" for metric in metrics)
        lines.append(f"| {baseline} | | | | | {values} |")
    return "\n".join([*lines, "", environment()])


def main() -> None:
    """Trains, and writes the sections."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(AIMS), metavar="NAME", help=str(AIMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/recipes"))
    options = parser.parse_args()
    for name in options.names:
        runs = [train(name, seed, options.output / f"{name}-{seed}") for seed in options.seeds]
        text = section(name, options.seeds, runs)
        print(text)
        write_section(name, text)


if __name__ == "__main__":
    main()
