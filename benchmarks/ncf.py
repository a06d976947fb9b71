"""Dot products and learned similarities on the split of "Neural collaborative filtering".

`--plot` compares sizes of the embedding instead, as in Rendle et al., "Neural collaborative
filtering vs. matrix factorization revisited" (RecSys 2020). Finished runs are not trained again.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import tfrecs
from benchmarks import recipes
from benchmarks.harness import Command, fit_best
from benchmarks.report import fill, mean_sd, pair, publish, table
from tfrecs._keras import keras
from tfrecs.evaluation import evaluate
from tfrecs.training import Run

RECIPES = {name: f"{name.lower()}-ml-1m-ncf" for name in ("MF", "GMF", "MLP", "NeuMF")}
PRETRAINED = "NeuMF, pretrained"
MODELS = (*RECIPES, PRETRAINED)
# HR@10 and NDCG@10 on the same files, as published.
PUBLISHED = {
    "MF, Rendle et al. 2020": (0.7294, 0.4523),
    "NeuMF, Dacrema et al. 2019": (0.7093, 0.4349),
    "popularity, Dacrema et al. 2019": (0.4531, 0.2542),
}
METRICS = ("HR@10", "NDCG@10")
SIZES = (16, 32, 64, 96, 128, 192)
# The curves of the figure: the recipe, and flags by which its layers follow the size.
LINES: dict[str, tuple[str, list[str]]] = {
    "dot product (MF)": ("mf-ml-1m-ncf", []),
    "MLP": ("mlp-ml-1m-ncf", ["--model.hidden_units", "null"]),
}
# Metrics of runs by model and size of its vectors.
Curves = Mapping[str, Mapping[int, Mapping[str, Any]]]
# Of the pretrained model, which continues with SGD as in the paper.
EPOCHS, BATCH_SIZE, LEARNING_RATE = 5, 1024, 0.5


def pretrained(gmf: Run, mlp: Run, seed: int, folder: Path) -> dict[str, Any]:
    """Trains NeuMF on from two finished runs, unless that is done, and returns its metrics."""
    path = folder / "metrics.json"
    if path.exists():
        return json.loads(path.read_text())
    split = gmf.load_split()
    keras.utils.set_random_seed(seed)
    parts = [run.load_model() for run in (gmf, mlp)]
    loss = type(parts[1].loss_function).from_config(parts[1].loss_function.get_config())
    model = tfrecs.models.NeuralMF.from_pretrained(
        *parts, regularization=parts[1].regularization, loss=loss, seed=seed
    )
    pairs = model.examples(split.train)
    steps = EPOCHS * -(-pairs.num_targets // BATCH_SIZE)
    rate = keras.optimizers.schedules.PolynomialDecay(LEARNING_RATE, steps, 0.0)
    model.compile(tfrecs.optimizers.SGD(rate))
    _, seconds = fit_best(model, pairs.batch(BATCH_SIZE, seed=seed), split, EPOCHS, None)
    metrics = {
        "epochs": EPOCHS,
        "train_seconds": sum(run.metrics["train_seconds"] for run in (gmf, mlp)) + seconds,
        "test": evaluate(model, split.test, (10, 20)).metrics,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metrics))
    return metrics


def section(
    seeds: Sequence[int], found: Mapping[str, Sequence[Mapping]], once: Sequence[str] = ()
) -> str:
    """Returns the section: means over seeds of each model's runs; `once` had the first alone."""
    words = ["python", "-m", "benchmarks.ncf", "--seeds", *map(str, seeds)]
    command = shlex.join([*words, "--once", *once] if once else words)
    rows: list[dict[str, Any]] = []
    for name, runs in found.items():
        seconds = ", ".join(f"{run['train_seconds']:.0f}" for run in runs)
        row = {"model": name, "seeds": len(runs), "epochs": runs[0]["epochs"]}
        means = {f"test {m}": mean_sd([run["test"][m] for run in runs]) for m in METRICS}
        rows.append(row | {"training, s": seconds} | means)
    baselines = next(iter(found.values()))[0]["baselines"].items()
    fixed = {name: [metrics[m] for m in METRICS] for name, metrics in baselines}
    fixed |= {f"published: {name}": values for name, values in PUBLISHED.items()}
    for name, values in fixed.items():
        given = zip(METRICS, values, strict=True)
        rows.append({"model": name, **{f"test {m}": f"{value:.4f}" for m, value in given}})
    return fill("ncf", command=command, table=table(rows))


def curve(label: str, sizes: Sequence[int], seed: int, folder: Path) -> dict[int, dict[str, Any]]:
    """Trains a model of `LINES` for each size of its vectors; the recipe's size is in the table."""
    name, more = LINES[label]
    own = yaml.safe_load(tfrecs.recipes.path(name).read_text(encoding="utf-8"))
    found = {}
    for size in sizes:
        run, flags = f"{name}-d{size}-{seed}", [["--model.dim", str(size), *more]]
        if size == own["model"]["init_args"]["dim"]:
            run, flags = f"{name}-{seed}", []
        found[size] = recipes.train(name, seed, folder / run, *flags)
    return found


def sizes_section(seed: int, curves: Curves, figure: Path) -> str:
    sizes = sorted(next(iter(curves.values())))
    command = f"python -m benchmarks.ncf --seeds {seed} --plot {figure}"
    if sizes != sorted(SIZES):
        command += f" --sizes {' '.join(map(str, sizes))}"
    rows = [{"embedding size": size} for size in sizes]
    for row, size in zip(rows, sizes, strict=True):
        row |= {name: pair(runs[size]["test"]) for name, runs in curves.items()}
    return fill("ncf-sizes", command=command, seed=seed, figure=figure.name, table=table(rows))


def plot(curves: Curves, path: Path) -> None:
    """Draws test HR@10 and NDCG@10 against the size of the embedding."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(METRICS), figsize=(10, 4.8), layout="constrained")
    for number, (axis, metric) in enumerate(zip(axes, METRICS, strict=True)):
        for name, runs in curves.items():
            sizes = sorted(runs)
            axis.plot(sizes, [runs[size]["test"][metric] for size in sizes], "o-", label=name)
        for (name, values), style in zip(PUBLISHED.items(), ("--", ":", "-."), strict=True):
            label = f"published: {name}"
            axis.axhline(values[number], color="grey", linestyle=style, label=label)
        axis.set(xlabel="embedding size", ylabel=metric, xticks=sorted(SIZES))
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle("MovieLens-1M, the split of NCF, 1 + 99 candidates")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("ncf", __doc__)
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the table (%(default)s)")
    add("--once", nargs="+", default=[], choices=MODELS, help="models of the first seed alone")
    add("--plot", type=Path, metavar="IMAGE", help="draw the figure into this file instead")
    add("--sizes", type=int, nargs="+", default=SIZES, help="of the figure (%(default)s)")
    add("--runs", type=Path, default=Path("runs/recipes"), help="where runs are kept (%(default)s)")
    options = parser.parse_args(arguments)
    if {"GMF", "MLP"} & {*options.once} and PRETRAINED not in options.once:
        parser.error(f"--once: {PRETRAINED} needs GMF and MLP of every seed")
    if options.plot:
        seed = options.seeds[0]
        curves = {label: curve(label, options.sizes, seed, options.runs) for label in LINES}
        plot(curves, options.plot)
        publish("ncf-sizes", sizes_section(seed, curves, options.plot), options.output)
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in MODELS}
    for seed in options.seeds:
        wanted = [name for name in MODELS if seed == options.seeds[0] or name not in options.once]
        folders = {name: options.runs / f"{recipe}-{seed}" for name, recipe in RECIPES.items()}
        for name, recipe in RECIPES.items():
            if name in wanted:
                found[name].append(recipes.train(recipe, seed, folders[name]))
        if PRETRAINED in wanted:
            gmf, mlp = (Run(folders[name]) for name in ("GMF", "MLP"))
            folder = options.runs / f"neumf-pretrained-ml-1m-ncf-{seed}"
            found[PRETRAINED].append(pretrained(gmf, mlp, seed, folder))
    publish("ncf", section(options.seeds, found, options.once), options.output)


if __name__ == "__main__":
    main()
