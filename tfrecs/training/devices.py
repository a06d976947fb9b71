"""How a training step runs on its device, where the user leaves it open."""

from __future__ import annotations

from typing import Literal

from tfrecs._gpu import has_gpu
from tfrecs.training.runs import Run

Jit = bool | Literal["auto"]

# Steps that win back the seconds of compiling: see docs/decisions.md.
_STEPS_THAT_PAY = 3_000
# A guess at the epochs that a training takes until its patience ends it.
_EPOCHS = 20
_STEPS_AN_EXECUTION = 20


def chosen_jit(jit: Jit, run: Run, num_batches: int, epochs: int) -> bool:
    """Returns whether XLA compiles the step.

    "auto" repeats the choice of a run that is resumed. For a new run it chooses XLA on a GPU if
    the training is long enough to win back the seconds of compiling. On a CPU, where a step is
    bound by arithmetic, XLA was slower.

    Args:
        jit: What the user asked for.
        run: The run folder; it holds a run if that is resumed.
        num_batches: Batches of an epoch.
        epochs: The largest number of epochs.

    Raises:
        ValueError: If `jit` is neither "auto" nor a boolean.
    """
    if isinstance(jit, bool):
        return jit
    if jit != "auto":
        raise ValueError(f'jit must be "auto", True or False, not {jit!r}.')
    before = run.config.get("jit") if run.exists else None
    if isinstance(before, bool):
        return before
    return has_gpu() and num_batches * min(epochs, _EPOCHS) >= _STEPS_THAT_PAY


def chosen_steps(steps_per_execution: int | None) -> int:
    """Returns how many steps TensorFlow takes for each call from Python."""
    if steps_per_execution is None:
        return _STEPS_AN_EXECUTION if has_gpu() else 1
    return steps_per_execution
