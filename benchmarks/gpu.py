"""One GPU: training steps beside plain PyTorch, exact search, rows a second, and whole runs.

Without a GPU it says so and stops.
"""

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report
from benchmarks.harness import Command
from benchmarks.report import NONE, count, fill, pair, short, table


@dataclasses.dataclass(frozen=True)
class Shape:
    """A batch of full histories, and the SASRec that trains on it."""

    dim: int = 64
    batch: int = 128
    length: int = 200
    items: int = 3_416
    negatives: int | None = None  # Shared by the batch; None for the softmax over all items.
    steps: int = 100

    @property
    def label(self) -> str:
        candidates = f"{self.negatives} negatives" if self.negatives else "all items"
        return f"d{self.dim}, {self.batch} x {self.length}, {self.items:,} items, {candidates}"


_MILLION = Shape(length=50, items=1_000_000, steps=10)
SHAPES = (Shape(), Shape(dim=256), _MILLION, dataclasses.replace(_MILLION, negatives=256))
_PEER = "benchmarks.peers.plain_torch"
TRAINERS = (
    ("tfrecs", "benchmarks.gpu:steps", "float32"),
    ("tfrecs --jit", "benchmarks.gpu:steps", "jit"),
    ("tfrecs --jit --precision mixed_bfloat16", "benchmarks.gpu:steps", "mixed_bfloat16"),
    ("plain PyTorch", f"{_PEER}:steps", "eager"),
    ("plain PyTorch, compiled", f"{_PEER}:steps", "compiled"),
)
# Models of pairs and rows, and the rows of a batch.
ROWS = (("MatrixFactorization", 8_192), ("TwoTower", 8_192), ("DeepCross", 8_192))
SEARCHES = ("BlockTopK", "BruteForce")
# Whole commands, and the file of TFRECS_DATA that each needs.
RUNS = (
    (["--data", "ml-100k"], None),
    (["--recipe", "sasrec-beauty"], "amazon-beauty.txt.gz"),
    (["--recipe", "sasrec-ml-1m"], "ml-1m-sequences.txt.gz"),
)


def card() -> str | None:
    """Returns the name of TensorFlow's first GPU, or None."""
    from tfrecs._keras import tf

    found = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(found[0]) if found else {}
    return details.get("device_name", "a GPU") if found else None


def _peak() -> float:
    """Returns the most GiB of the GPU's memory so far."""
    from tfrecs._keras import tf

    if not tf.config.list_physical_devices("GPU"):
        return 0.0
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30


def steps(shape: dict[str, Any], mode: str) -> dict[str, Any]:
    """Trains SASRec by `fit` on one full batch; as `benchmarks.peers.plain_torch.steps`."""
    import tfrecs
    from tfrecs._keras import keras, tf

    given = Shape(**shape)
    if mode == "mixed_bfloat16":
        keras.mixed_precision.set_global_policy(mode)
    rows = np.random.default_rng(0).integers(1, given.items + 1, (given.batch, given.length + 1))
    rows = tf.constant(rows, tf.int32)
    sampled = tfrecs.losses.SampledSoftmax
    loss = sampled(given.negatives) if given.negatives else tfrecs.losses.FullSoftmax()
    architecture = {"num_blocks": 2, "num_heads": 2, "max_length": given.length}
    model = tfrecs.models.SASRec(given.items, given.dim, **architecture, loss=loss, seed=1)
    # A sampled loss touches few rows of the table, which only a lazy optimizer makes use of.
    optimizer = tfrecs.optimizers.LazyAdam if given.negatives else tfrecs.optimizers.Adam
    model.compile(optimizer(1e-3), jit_compile=mode != "float32" or None, steps_per_execution=10)

    def train(number: int) -> float:
        batch = tf.data.Dataset.from_tensors({"history": rows[:, :-1], "target": rows[:, 1:]})
        begun = time.perf_counter()
        model.fit(batch.repeat(number).prefetch(2), verbose=0)
        return time.perf_counter() - begun

    first = train(2)
    seconds = min(train(given.steps) for _ in range(2)) / given.steps
    return {"first": first, "seconds": seconds, "gib": _peak(), "versions": {}}


def search(name: str, items: int, batch: int) -> dict[str, float]:
    """Finds the 100 best of many vectors of 64 numbers again and again."""
    import tfrecs
    from tfrecs._keras import tf, tfrs

    layers = {"BlockTopK": tfrecs.serving.BlockTopK}
    layers["BruteForce"] = tfrs.layers.factorized_top_k.BruteForce
    rng = np.random.default_rng(0)
    vectors, queries = (rng.standard_normal((n, 64), np.float32) for n in (items, batch))
    index = layers[name](k=100).index(tf.constant(vectors))
    find = tf.function(index, input_signature=[tf.TensorSpec([None, 64])])
    times = []
    for _ in range(32):
        begun = time.perf_counter()
        found = find(tf.constant(queries))[1].numpy()
        times.append(time.perf_counter() - begun)
    best = np.argpartition(-(queries @ vectors.T), 100, axis=1)[:, :100]
    same = [len({*a} & {*b}) / 100 for a, b in zip(found.tolist(), best.tolist(), strict=True)]
    return {"seconds": float(np.median(times[2:])), "same": float(np.mean(same)), "gib": _peak()}


def rows(name: str, batch: int, size: int) -> dict[str, float]:
    """Reads random rows or pairs alone, and trains on them: 64 batches an epoch, four in turn.

    `DeepCross` has Criteo's shape: 26 categories of 10 million ids in all, and 13 numbers.
    """
    import tfrecs

    rng = np.random.default_rng(0)
    data = tfrecs.data
    if name == "DeepCross":
        ids = max(size // 26, 2)
        number = 64 * batch
        columns = {f"c{i}": rng.integers(1, ids + 1, number, np.int32) for i in range(26)}
        columns |= {f"x{i}": rng.standard_normal(number, np.float32) for i in range(13)}
        columns["label"] = rng.integers(0, 2, number).astype(np.float32)
        kinds = {f"c{i}": data.Categorical(data.Vocabulary(range(ids))) for i in range(26)}
        kinds |= {f"x{i}": data.Numeric() for i in range(13)} | {"label": data.Label()}
        examples = data.Rows(columns, "label")
        model = tfrecs.models.DeepCross(data.Schema(kinds), seed=1)
        model.adapt(examples)
    else:
        users = max(size // 10, 2)
        known = min(users, batch)
        lists = rng.integers(1, size + 1, (known, 64 * batch // known)).tolist()
        histories = data.Histories.from_lists(lists)
        part = data.TrainSet(histories, np.arange(1, len(lists) + 1), num_items=size)
        model = getattr(tfrecs.models, name)(size, users, dim=64, seed=1)
        examples = model.examples(part)
    batches = examples.batch(batch, seed=1)

    def reading() -> None:
        for _ in range(4):
            for _ in batches:
                pass

    model.compile(tfrecs.optimizers.LazyAdam(1e-3))
    rates = {}
    work = {"input": reading, "training": lambda: model.fit(batches, epochs=4, verbose=0)}
    for what, run in work.items():
        run()
        begun = time.perf_counter()
        run()
        rates[what] = 4 * examples.num_targets / (time.perf_counter() - begun)
    return {**rates, "gib": _peak()}


class Budget:
    """Runs each measurement in a separate process, until the time is over."""

    def __init__(self, minutes: float, torch_python: str):
        self._end, self._torch = time.monotonic() + 60 * minutes, torch_python
        self.failures: list[str] = []
        self.versions: dict[str, str] = {}

    def measure(self, function: str, *arguments: Any) -> dict[str, Any] | None:
        """Returns what a function "module:name" measures; None, and a line why, if it fails."""
        python = self._torch if function.startswith(_PEER) else sys.executable
        command = [python, "-m", "benchmarks", function, json.dumps(arguments)]
        said = self.run(command, f"{function.rpartition(':')[2]} {json.dumps(arguments)}")
        if said is None:
            return None
        result = json.loads(said.splitlines()[-1])
        self.versions |= result.pop("versions", {})
        print(f"{function} {arguments}: {result}", flush=True)
        return result

    def run(self, command: Sequence[str], name: str) -> str | None:
        """Returns what a command prints; None, and a line why, if it fails."""
        left = self._end - time.monotonic()
        if left <= 0:
            self.failures.append(f"{name}: left out, the time was over.")
            return None
        given = {"cwd": machine.ROOT, "capture_output": True, "text": True}
        try:
            done = subprocess.run(command, **given, timeout=left)
        except subprocess.TimeoutExpired:
            self.failures.append(f"{name}: stopped, the time was over.")
            return None
        if done.returncode:
            errors = [x for x in done.stderr.splitlines() if re.match(r"\s*[\w.]*Error\b", x)]
            why = (errors or done.stderr.strip().splitlines() or ["no word"])[-1].strip()
            self.failures.append(f"{name} failed: {why[:300]}.")
            return None
        return done.stdout


def steps_table(budget: Budget, shapes: Sequence[Shape]) -> str:
    """Returns the table of training steps."""
    lines = []
    for shape in shapes:
        for label, function, mode in TRAINERS:
            found = budget.measure(function, dataclasses.asdict(shape), mode)
            line = {"SASRec": shape.label, "trainer": label}
            if found is not None:
                targets = count(shape.batch * shape.length / found["seconds"])
                line |= {"ms a step": f"{1e3 * found['seconds']:.2f}", "targets/s": targets}
                line |= {"first steps, s": short(found["first"]), "GiB": f"{found['gib']:.2f}"}
            names = ("ms a step", "targets/s", "first steps, s", "GiB")
            lines.append({**line, **{name: line.get(name, NONE) for name in names}})
    return table(lines)


def search_table(budget: Budget, items: int, batches: Sequence[int]) -> str:
    """Returns the table of exact searches."""
    lines = []
    for batch in batches:
        for name in SEARCHES:
            found = budget.measure("benchmarks.gpu:search", name, items, batch)
            line = {"search": f"`{name}`, {items:,} x 64", "queries": batch}
            line |= {"ms": NONE, "same items as numpy": NONE, "GiB": NONE}
            if found is not None:
                line |= {"ms": f"{1e3 * found['seconds']:.2f}", "GiB": f"{found['gib']:.2f}"}
                line["same items as numpy"] = f"{100 * found['same']:.2f}%"
            lines.append(line)
    return table(lines)


def rows_table(budget: Budget, size: int, largest: int) -> str:
    """Returns the table of rows a second."""
    lines = []
    for name, batch in ROWS:
        batch = min(batch, largest)
        found = budget.measure("benchmarks.gpu:rows", name, batch, size)
        line = {"model": f"`{name}`", "ids": f"{size:,}", "batch": f"{batch:,}"}
        line |= dict.fromkeys(("rows/s, input alone", "rows/s, training", "GiB"), NONE)
        if found is not None:
            line["rows/s, input alone"] = count(found["input"])
            line["rows/s, training"] = count(found["training"])
            line["GiB"] = f"{found['gib']:.2f}"
        lines.append(line)
    return table(lines)


def runs_table(budget: Budget, small: bool) -> str:
    """Returns the table of whole commands, of those whose data are there."""
    lines, data = [], Path(os.environ.get("TFRECS_DATA", "."))
    with tempfile.TemporaryDirectory() as folder:
        for flags, needed in RUNS:
            if needed and (small or not (data / needed).exists()):
                continue
            output = Path(folder, str(len(lines)))
            more = ["--epochs", "1"] if small else []
            command = ["-m", "tfrecs", "train", *flags, *more]
            name = f"`tfrecs {' '.join(command[2:])}`"
            begun = time.monotonic()
            said = budget.run([sys.executable, *command, "--output", str(output)], name)
            line = {"command": name, "seconds": f"{time.monotonic() - begun:.0f}"}
            line |= {"of training": NONE, "best epoch": NONE, "test HR@10 / NDCG@10": NONE}
            if said is not None:
                metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
                line |= {"of training": f"{metrics['train_seconds']:.0f}"}
                line |= {"best epoch": metrics["best_epoch"]}
                line["test HR@10 / NDCG@10"] = pair(metrics["test"])
            lines.append(line)
    return table(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes the section "On a GPU"."""
    parser = Command("gpu", __doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=8, help="what is not begun by then is left out")
    text = "a Python with PyTorch (this one)"
    add("--torch-python", default=sys.executable, metavar="PYTHON", help=text)
    add("--small", action="store_true", help="tiny shapes on any device; writes nothing")
    options: argparse.Namespace = parser.read(arguments)
    name = machine.call("benchmarks.gpu:card")
    if name is None and not options.small:
        parser.error("TensorFlow finds no GPU here: `python -m benchmarks.gpu` measures one.")
    budget = Budget(options.minutes, options.torch_python)
    shapes, items, batches, ids, batch = SHAPES, 1_000_000, (64, 1), 10_000_000, 1 << 13
    if options.small:
        shapes = tuple(
            Shape(16, 4, 10, min(shape.items, 2_000), shape.negatives and 8, 2) for shape in SHAPES
        )
        items, batches, ids, batch = 20_000, (8, 1), 260, 64
    text = fill(
        "gpu",
        command=options.command,
        card=f"one {name}" if name else "no GPU",
        steps=steps_table(budget, shapes),
        search=search_table(budget, items, batches),
        rows=rows_table(budget, ids, batch),
        runs=runs_table(budget, options.small),
        failures="\n".join(f"- {line}" for line in budget.failures),
        versions=", ".join(f"{k} {v}" for k, v in budget.versions.items()) or "no PyTorch",
    )
    report.publish("gpu", text, None if options.small else options.output)
    if budget.failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
