"""Item vectors in fewer bits on MovieLens-1M: product quantisation, half precision and int8.

SASRec is trained with a plain table, by the recipe or, without `--recipe`, by a shorter job, and
exported in each precision. Its items are product-quantised and tuned, and quantised items are
trained from the start. Quality is that of what the export stores; requests go through the C API.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.harness import Command
from benchmarks.recipes import train
from benchmarks.report import fill, publish, table

RECIPE, METRIC = "sasrec-ml-1m", "NDCG@10"
# What the recipe needs hours for, this needs minutes for.
SHORT = (
    *("--model.num_blocks", "1", "--model.num_heads", "1", "--model.max_length", "50"),
    *("--model.dropout", "0.1", "--windows", "last", "--batch_size", "64"),
    *("--learning_rate", "0.002"),
)
PRECISIONS = ("float32", "float16", "int8")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def tuned(run: str, code_length: int, num_centroids: int, epochs: int) -> tuple[Any, float]:
    """Returns a run's model with its items quantised and tuned, and the seconds of an epoch."""
    from tfrecs.optimizers import Adam
    from tfrecs.training import Run

    source = Run(run)
    config, split = source.config, source.load_split()
    model = source.load_model().quantized(code_length, num_centroids)
    model.compile(optimizer=Adam(config["learning_rate"] / 2))
    batches = model.examples(split.train, config["windows"]).batch(config["batch_size"])
    start = time.perf_counter()
    model.fit(batches, epochs=epochs, verbose=0)
    return model, (time.perf_counter() - start) / epochs


def stored(run: str, folder: str, precision: str, tuning: Sequence[int] = ()) -> dict[str, Any]:
    """Exports a run's model; returns the export, its sizes, and its quality.

    Args:
        run: The run's folder.
        folder: Where to export to.
        precision: How items are stored.
        tuning: Arguments of `tuned`, if the items are to be quantised first.
    """
    from tfrecs.evaluation import evaluate
    from tfrecs.serving import export
    from tfrecs.serving.exports.stored import stored as as_exported
    from tfrecs.training import Run

    source = Run(run)
    split = source.load_split()
    found: dict[str, Any] = {}
    if tuning:
        model, found["epoch"] = tuned(run, *tuning)
    else:
        model = source.load_model()
        found["epoch"] = source.metrics["train_seconds"] / source.metrics["epochs"]
    path = export(model, folder, item_precision=precision)
    with as_exported(model, precision) as (answering, items):
        for name in ("validation", "test"):
            report = evaluate(answering, getattr(split, name), (10,), baselines=False)
            found[name] = float(report.metrics[METRIC])
        variables = model.embedding.variables if model.has_item_codes else items.rows.variables
    files = Path(path, "variables").iterdir()
    return found | {
        "export": path,
        "bytes": sum(variable.numpy().nbytes for variable in variables),
        "variables": sum(file.stat().st_size for file in files),
    }


def row(name: str, found: dict[str, Any], plain: dict[str, Any]) -> dict[str, str]:
    """One line of the table; `plain` is the plain table in float32."""
    times = np.array(found["times"])
    parts = {part: found[part] for part in ("validation", "test")}
    return {
        "items": name,
        "table, kB": f"{found['bytes'] / 1000:.1f}",
        "of float32": f"1/{plain['bytes'] / found['bytes']:.1f}",
        "export, kB": f"{found['variables'] / 1000:.0f}",
        **{
            f"{part} {METRIC}": f"{value:.4f} ({value / plain[part] - 1:+.1%})"
            for part, value in parts.items()
        },
        "s an epoch": f"{found['epoch']:.1f}",
        "request, ms": f"{np.median(times):.2f}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("quantized", __doc__)
    add = parser.add_argument
    add("--recipe", action="store_true", help="the whole recipe, hours; else a shorter job")
    add("--dim", type=int, default=128, help="numbers of an item's vector (%(default)s)")
    add("--epochs", type=int, default=14, help="of the shorter job (%(default)s)")
    add("--code_length", type=int, default=64, help="codes of an item (%(default)s)")
    add("--num_centroids", type=int, default=8, help="of each code (%(default)s)")
    add("--tuning", type=int, default=4, help="epochs after quantising (%(default)s)")
    add("--seconds", type=float, default=5, help="of requests to each export (%(default)s)")
    add("--seed", type=int, default=0)
    add("--runs", type=Path, default=Path("runs/quantized"), help="where runs are kept")
    options = parser.read(arguments)
    size = ("--model.dim", str(options.dim))
    flags = size if options.recipe else (*SHORT, *size, "--epochs", str(options.epochs))
    given = (options.code_length, options.num_centroids)
    codes = ("--model.code_length", str(given[0]), "--model.num_centroids", str(given[1]))
    plain, learned = (options.runs / f"{n}-d{options.dim}-{options.seed}" for n in ("plain", "svd"))
    cases = [(name, plain, name, ()) for name in PRECISIONS]
    cases.append(
        ("codes of the trained vectors, tuned", plain, "float32", (*given, options.tuning))
    )
    cases.append(("codes of the SVD, trained from the start", learned, "float32", ()))
    train(RECIPE, options.seed, plain, flags)
    train(RECIPE, options.seed, learned, (*flags, *codes))
    measured = []
    for name, run, precision, tuning in cases:
        asked = (str(run), str(options.runs / "exports" / name.split(",")[0]), precision, tuning)
        found = machine.call("benchmarks.quantized:stored", *asked, **QUIET)
        asked = (found["export"], 1, options.seconds)
        found["times"] = machine.call("benchmarks.serving:request_latencies", *asked, **QUIET)
        measured.append((name, found))
    rows = [row(name, found, measured[0][1]) for name, found in measured]
    job = "the recipe" if options.recipe else f"the recipe with `{' '.join(flags)}`"
    about = {"command": options.command, "options": options, "job": job}
    text = fill("quantized", **about, table=table(rows))
    publish("quantized", text, options.output)


if __name__ == "__main__":
    main()
