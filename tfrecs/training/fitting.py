"""`fit` in a run folder: from the start or a checkpoint, until the end or a signal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from tfrecs._keras import keras, tf
from tfrecs.data import EvaluationSet, Rows
from tfrecs.models import Model
from tfrecs.training.history import EpochProgress, plot_history
from tfrecs.training.recorder import Recorder
from tfrecs.training.stopping import Interrupted


def fit(
    recorder: Recorder,
    model: Model,
    validation: EvaluationSet | Rows,
    batches: Callable[[int, int], tf.data.Dataset],
    *,
    epochs: int,
    targets: int,
    resume: bool,
    console: Console,
) -> None:
    """Trains a compiled model in a run folder, from the start or from its newest checkpoint.

    Afterwards the model has the weights of the best epoch. On Ctrl-C or SIGTERM the training saves
    and ends after the current execution, one step or more; a second Ctrl-C ends it at once.

    Args:
        recorder: Keeps the record of the run.
        model: The model, compiled.
        validation: The part that each epoch is validated on.
        batches: Gives the training batches from an epoch, and a batch of it, on.
        epochs: The largest number of epochs.
        targets: Targets an epoch, for the speed that is shown.
        resume: Whether to go on from the newest checkpoint.
        console: Where to show progress.

    Raises:
        CheckpointError: If `resume` finds no usable checkpoint.
        FloatingPointError: If the weights are no longer finite.
        Interrupted: On Ctrl-C or SIGTERM. The record is written, and the model has the best
            weights so far.
        RunError: If the run's data have changed.
    """
    folder, best = recorder.run.folder, recorder.best
    best.set_model(model)
    finished = recorder.run.finished
    resumed = resume and recorder.begun
    if resumed:
        recorder.resume(model, console.print)
    else:
        if resume:
            console.print(f"{folder} was stopped before its first checkpoint: starting over")
        recorder.save()
    try:
        if recorder.done < epochs and not best.stopped:
            dataset = batches(recorder.done, recorder.batch)
            recorder.epochs, recorder.steps = epochs, dataset.num_batches
            if resumed:
                console.print(f"resuming {folder} {recorder.place}")
            _train(recorder, model, dataset, validation, targets, console)
        elif finished:
            console.print(
                f"{folder} is finished: it is only tested again. To train again, name another "
                "output folder, or remove this one."
            )
        else:
            console.print(f"{folder} was stopped after its last epoch: only its test is left")
    finally:
        best.restore()
        # A finished run has its picture, and its disk may be read-only.
        if recorder.rows and not finished:
            plot_history(
                folder / "training.png",
                recorder.rows,
                metric=best.monitor,
                best_epoch=best.best_epoch,
                title=f"{recorder.facts['model']} on {recorder.facts['data']}",
            )


def _train(
    recorder: Recorder,
    model: Model,
    dataset: tf.data.Dataset,
    validation: EvaluationSet | Rows,
    targets: int,
    console: Console,
) -> None:
    best = recorder.best
    progress = EpochProgress(
        recorder.epochs,
        steps=recorder.steps,
        targets=targets,
        monitor=best.monitor,
        mode=best.mode,
        console=console,
    )
    progress.best, progress.spent = best.best, recorder.spent
    board = keras.callbacks.TensorBoard(str(recorder.run.folder / "tensorboard"), write_graph=False)
    try:
        with recorder.stop:
            model.fit(
                dataset,
                epochs=recorder.epochs,
                initial_epoch=recorder.done,
                validation_data=validation,
                # The recorder, which ends the training, is last: the others see the whole epoch.
                callbacks=[progress, best, board, recorder],
                verbose=0,
            )
        if recorder.stop.received is not None:  # After the last step.
            recorder.end()
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(recorder.stopped("Stopped at once, kept as it was")) from None
    finally:
        progress.close()
