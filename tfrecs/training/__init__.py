"""Training that survives: run folders, checkpoints, early stopping, resuming bit for bit."""

from tfrecs.training.allowed import ConfigError, check_config, find_class
from tfrecs.training.checkpoints import CheckpointError, Checkpoints, Position
from tfrecs.training.fitting import fit
from tfrecs.training.history import EpochProgress, plot_history, write_history
from tfrecs.training.job import train
from tfrecs.training.recorder import Recorder
from tfrecs.training.runs import Run, RunError
from tfrecs.training.sources import load_log, load_source, make_split
from tfrecs.training.specs import build, built_arguments, describe
from tfrecs.training.stopping import BestWeights, Interrupted, StopSignals, Wish
from tfrecs.training.strategies import make_strategy

__all__ = [
    "BestWeights",
    "CheckpointError",
    "Checkpoints",
    "ConfigError",
    "EpochProgress",
    "Interrupted",
    "Position",
    "Recorder",
    "Run",
    "RunError",
    "StopSignals",
    "Wish",
    "build",
    "built_arguments",
    "check_config",
    "describe",
    "find_class",
    "fit",
    "load_log",
    "load_source",
    "make_strategy",
    "make_split",
    "plot_history",
    "train",
    "write_history",
]
