"""The main job: from a log to a trained, tested model in a run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from rich.console import Console

from tfrecs._gpu import tensor_float_32
from tfrecs._keras import keras, tf
from tfrecs.data import RowSplit, Schema, Split
from tfrecs.data.batches.epochs import Static
from tfrecs.evaluation import evaluate
from tfrecs.evaluation.workers import from_chief, is_chief, largest, num_workers
from tfrecs.models import Model, SASRec
from tfrecs.models.averaging import inner_optimizer
from tfrecs.optimizers import Adam
from tfrecs.training.checks import (
    check_data,
    check_folder,
    check_kind,
    check_numbers,
    check_same,
    locked_by_chief,
    model_class,
    portable,
    portable_args,
)
from tfrecs.training.devices import Jit, chosen_jit, chosen_steps
from tfrecs.training.fitting import fit
from tfrecs.training.recorder import Recorder, known_facts
from tfrecs.training.runs import Run, run_errors
from tfrecs.training.sources import SplitName, fingerprint, left_out, load_source
from tfrecs.training.specs import build_model, describe
from tfrecs.training.stopping import BestWeights, Wish
from tfrecs.training.strategies import (
    Precision,
    StrategyName,
    make_strategy,
    own_record,
    placed,
    strategy_name,
)

KS = (10, 20)
# Several workers agree every so many batches whether to save or stop.
_AGREE_EVERY = 10
Windows = Literal["last", "all"]


def train(
    output: str | os.PathLike[str],
    data: str | os.PathLike[str] = "ml-100k",
    model: type[Model] | str = SASRec,
    *,
    model_args: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] | None = None,
    data_args: Mapping[str, Any] | None = None,
    k_core: int | None = None,
    split: SplitName | None = None,
    split_args: Mapping[str, Any] | None = None,
    recommend_known: bool | None = None,
    windows: Windows = "all",
    batch_size: int | None = None,
    epochs: int = 100,
    patience: int | None = 10,
    optimizer: Callable[[Any], keras.optimizers.Optimizer] = Adam,
    learning_rate: float = 1e-3,
    schedule: Literal["constant", "linear"] = "constant",
    seed: int = 0,
    checkpoint_minutes: float | None = 10.0,
    strategy: StrategyName | tf.distribute.Strategy = "none",
    precision: Precision = "float32",
    tf32: bool = True,
    jit: Jit = "auto",
    steps_per_execution: int | None = None,
    deterministic: bool = False,
    resume: bool = False,
    console: Console | None = None,
) -> Run:
    """Trains a model on a log, tests it once, and leaves a run folder.

    Training stops when validation NDCG@10 (for models of rows AUC, or RMSE, of their first head)
    gets no better, and the weights of the best epoch are tested and kept. A checkpoint is written
    after every epoch, and every `checkpoint_minutes` within one. The same call again resumes a run
    that was stopped by Ctrl-C, SIGTERM or a crash: it goes on from the last checkpoint and ends
    with the very weights of an uninterrupted run (on GPUs with `deterministic`, else up to
    rounding). It tests a finished run again, and refuses one with other settings.

    Args:
        output: The run folder (see `Run`): new, empty, or with a run of the same settings.
        data: The name of a data set, such as ml-100k, or the path of a log. A path is also looked
            for in the folder that the environment variable TFRECS_DATA names.
        model: The class of the model, or its name, such as "sasrec"; its `from_split` makes it.
        model_args: Arguments of the model, beside those that the split gives. Layers among them,
            such as losses, are rebuilt untrained, with the training data (known items, counts) of
            this run. Or a function that returns the arguments for a split; they are used
            unchanged, and config.yaml does not say what it puts into such layers.
        data_args: Arguments of `tfrecs.data.read` for a path: the names of columns that are not
            user_id, item_id and timestamp (`{"user": .., "item": .., "timestamp": ..}`), the
            format, the delimiter.
        k_core: Drop users and items with fewer interactions than this, until none is left.
        split: The rule that splits the log, a function of `tfrecs.data`. The default is the
            model's: leave_last_out, or click_through for models that predict the label of a row.
            read_ncf, and sessions of a folder with two files, read a published split.
        split_args: The rule's arguments, such as `{"test": 0.2}` for random_ratio or
            `{"targets": "last"}` for global_time.
        recommend_known: Whether items that a user already has may be recommended, as where people
            buy or play them again. If not, validation, test, baselines and exports leave them out,
            and a target among them is a miss. The default is yes for sessions, and no otherwise.
        windows: Whether a sequence model learns from the last items of a long history or, in
            several windows, from all of them.
        batch_size: Histories, pairs of user and item, or rows of a batch, over all devices; the
            default is the model's: 32 histories, 1,024 pairs or rows.
        epochs: The largest number of epochs.
        patience: Epochs without a better validation metric that end the training; None never
            ends it.
        optimizer: Makes the optimizer from the learning rate: a class, or a function.
        learning_rate: The learning rate, at the start.
        schedule: "constant", or "linear" for a decay to zero over all epochs.
        seed: Seed of everything random: the same seed gives the same weights (on GPUs see
            `deterministic`).
        checkpoint_minutes: Minutes between checkpoints within an epoch; None saves only at the ends
            of epochs. A run may be resumed with another value.
        strategy: The devices: "none" for one; "mirrored" for all GPUs, or logical CPU devices, of
            this process; "multi-worker" for the processes that TF_CONFIG names, each of which calls
            this. Or a strategy from `make_strategy`. All give the result of one device, to
            rounding, for any number of replicas. The first worker writes `output`, which all must
            see.
        precision: "float32", or "mixed_bfloat16" or "mixed_float16" for matrix products in 16 bits.
            Weights, scores and losses stay float32.
        tf32: Whether a GPU may round the factors of float32 products to 10 bits, as TensorFlow
            does by default: faster, and a relative error of 5e-4 a factor. CPUs never round.
        jit: Whether XLA compiles the training step, a program for each shape of a batch. Histories
            then have at most four widths, and an epoch drops pairs and rows that fill no batch.
            "auto" compiles on a GPU if 20 epochs, or `epochs` if fewer, have 3,000 batches; a run
            keeps what was chosen at its start.
        steps_per_execution: Batches that TensorFlow trains on for each call from Python; the
            default is 20 where there is a GPU, else 1. The result is the same. Signals and
            checkpoints wait for the last of them.
        deterministic: Whether a GPU gives the same bits each time, as CPUs always do. Otherwise it
            adds numbers in any order, so runs repeat and resume up to rounding. It makes a GPU
            slower, and stays on until the process ends.
        resume: Whether `output` must hold a run; otherwise a new one may begin.
        console: Where to show progress; None for standard output, of the first worker alone.

    Returns:
        The run.

    Raises:
        RunError: If the data or the settings are not usable, `output` holds something else, or the
            run in `output` has other settings or other data, or is being trained.
        CheckpointError: If no checkpoint of a resumed run is usable.
        FloatingPointError: If the weights are no longer finite, or an epoch had no finite gradient.
        Interrupted: On Ctrl-C and SIGTERM, once a checkpoint is written.

    Example:
        ```python
        import tfrecs

        run = tfrecs.train("runs/first", data="ml-100k", model_args={"dim": 32}, epochs=20)
        print(run.metrics["test"]["NDCG@10"])
        ```
    """
    model = model_class(model)
    check_data(data)
    if isinstance(strategy, str):
        # Before anything else of TensorFlow.
        strategy = make_strategy(cast(StrategyName, strategy))
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    chief = is_chief(strategy)
    console = console or Console(highlight=False, markup=False, soft_wrap=True, quiet=not chief)
    run = Run(output)
    # Locked before anything is checked: of two jobs one must not see the other's half-made folder.
    with locked_by_chief(run, strategy), tensor_float_32(tf32):
        from_chief(strategy, lambda: check_folder(run, resume))
        with run_errors(), placed(strategy, precision):
            check_numbers(
                epochs, batch_size, learning_rate, checkpoint_minutes, steps_per_execution
            )
            rule = cast(SplitName, split or model.default_split)
            check_kind(model, rule)
            source = load_source(
                data, data_args, k_core, rule, split_args, recommend_known=recommend_known
            )
            parts = source.parts
            console.print(source.description)
            counts = [f"{n:,} {what.replace('_', ' ')}" for what, n in parts.counts.items() if n]
            console.print(f"{parts.protocol}: {', '.join(counts)}")
            keras.utils.set_random_seed(seed)
            network = build_model(model, model_args, parts)
            for line in left_out(parts):
                console.print(line)
            best = BestWeights(network.monitor, patience, network.monitor_mode)
            examples = network.examples(parts.train, windows)
            size = batch_size or model.default_batch_size
            compiled = chosen_jit(jit, run, examples.batch(size).num_batches, epochs)

            def batches_from(epoch: int, batch: int = 0) -> tf.data.Dataset:
                # XLA compiles a program for each shape.
                static: Static = "few" if compiled else False
                return examples.batch(
                    size, seed=seed, first_epoch=epoch, first_batch=batch, static=static
                )

            rate: Any = learning_rate
            if schedule == "linear":
                steps = epochs * len(batches_from(0))
                rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, 0.0)
            network.compile(
                optimizer=optimizer(rate),
                jit_compile=compiled or None,
                steps_per_execution=chosen_steps(steps_per_execution),
            )

        # Under mixed_float16 an optimizer that scales the loss holds the given one.
        inner = inner_optimizer(network)
        config = {
            "data": portable(data),
            "data_args": portable_args(data_args),
            "k_core": k_core,
            "split": rule,
            "split_args": {
                name: value.get_config() if isinstance(value, Schema) else value
                for name, value in (split_args or {}).items()
            }
            or None,
            "model": describe(network, skip=network.split_arguments),
            "recommend_known": isinstance(parts, Split) and parts.test.recommend_known,
            "windows": windows,
            "batch_size": size,
            "epochs": epochs,
            "patience": patience,
            "optimizer": describe(inner, skip=("learning_rate",)),
            "learning_rate": learning_rate,
            "schedule": schedule,
            "seed": seed,
            "checkpoint_minutes": checkpoint_minutes,
            "strategy": strategy_name(strategy),
            "precision": precision,
            "tf32": tf32,
            "jit": compiled,
            "steps_per_execution": steps_per_execution,
            "deterministic": deterministic,
        }
        resume = from_chief(strategy, lambda: run.exists)
        record = own_record(run, strategy, resume)
        if resume:
            check_same(run, config, network)
        else:
            with run_errors():
                record.begin(config, network)
        recorder = Recorder(
            record,
            record.checkpoints(network),
            best,
            known_facts(network, config, source),
            data=fingerprint(parts, events=network.event_inputs is not None),
            checkpoint_minutes=checkpoint_minutes,
            agree=lambda wish: Wish(largest(strategy, wish)),
            agree_every=1 if num_workers(strategy) == 1 else _AGREE_EVERY,
            folder=run.folder,
        )
        fit(
            recorder,
            network,
            parts.validation,
            batches_from,
            epochs=epochs,
            targets=examples.num_targets,
            resume=resume,
            console=console,
        )
        # The others wait for the chief: TensorFlow takes a worker that ends for an error.
        from_chief(strategy, lambda: _test(network, parts, run, recorder, console))
        return run


def _test(
    model: Model, parts: Split | RowSplit, run: Run, recorder: Recorder, console: Console
) -> None:
    """Tests the best weights, once a run, and shows the report."""
    reports = {
        "validation": evaluate(model, parts.validation, KS, baselines=False),
        "test": evaluate(model, parts.test, KS),
    }
    test = reports["test"]
    if not run.finished:
        results: dict[str, Any] = {name: report.metrics for name, report in reports.items()}
        results["repeats"] = {
            name: report.repeats.as_dict()
            for name, report in reports.items()
            if report.repeats is not None
        }
        run.write_metrics(recorder.metrics(**results, baselines=test.baselines))
    console.print(f"best epoch {recorder.best.best_epoch}, {recorder.seconds:.0f} s of training")
    console.print(str(test))
    if advice := test.advice():
        console.print(advice)
