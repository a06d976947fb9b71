"""`tfrecs train`: the main job."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from tfrecs import losses, models, negatives, optimizers, recipes
from tfrecs._keras import keras
from tfrecs.cli.errors import UserError
from tfrecs.cli.parsing import class_names, new_parser, parse, with_class_paths
from tfrecs.evaluation.workers import is_chief
from tfrecs.training import (
    ConfigError,
    Run,
    build,
    built_arguments,
    check_config,
    find_class,
    make_strategy,
    train,
)
from tfrecs.training.allowed import check_model_settings, read_settings, settings_of
from tfrecs.training.specs import KERAS_ARGUMENTS
from tfrecs.training.strategies import StrategyName

DEFAULT_MODEL = "tfrecs.models.SASRec"

DESCRIPTION = """Trains a model on a log, tests it once, and leaves a run folder.

Settings come from --recipe, then --config, then the other flags, the later ones over the earlier.
Arguments of the model, its loss and the optimizer are flags too:
  --model sasrec --model.dim 128 --model.loss sampled_softmax --model.loss.num_negatives 256
and `--model.help sasrec` explains a model's.

The same command again goes on with a run that was stopped. Ctrl-C and SIGTERM save before they stop
it, with exit codes 130 and 143; a second Ctrl-C stops it at once."""

EXAMPLE = """\
tfrecs train --model sasrec --data ml-100k --output runs/first
tfrecs train --recipe sasrec-ml-1m --output runs/recipe
tfrecs train --data clicks.csv --data_args.user visitor --data_args.item sku --output runs/clicks
tfrecs train --data ml-100k --split global_time --split_args.targets last --output runs/by_time
tfrecs train --resume runs/first"""


def make_parser(model: str = DEFAULT_MODEL) -> ArgumentParser:
    """Returns the parser of `tfrecs train`, made from the signatures of `train` and classes.

    Args:
        model: The class of the model that is trained where none is named.
    """
    parser = new_parser("train", DESCRIPTION, EXAMPLE)
    parser.add_argument("--config", action="config", help="A YAML file of settings.")
    parser.add_argument(
        "--recipe",
        type=str,
        help="Settings that reproduce a result: a YAML file, or one of "
        f"{', '.join(recipes.names())}.",
    )
    parser.add_argument(
        "--resume",
        type=bool,
        default=False,
        help="Go on with a run that was stopped: `--resume FOLDER` alone takes its settings from "
        "the folder. With the settings beside it, it is an error if there is no such run.",
    )
    parser.add_function_arguments(
        train,
        skip={"model", "model_args", "optimizer", "strategy", "resume", "console"},
        sub_configs=False,
    )
    parser.add_argument(
        "--strategy",
        type=StrategyName,
        default="none",
        help="The devices: one; all GPUs of this machine, mirrored; or those of several workers, "
        "see `tfrecs launch`. --batch_size counts over all devices.",
    )
    parser.add_subclass_arguments(
        models.Model,
        "model",
        skip={*models.Model.split_arguments, *KERAS_ARGUMENTS},
        default={"class_path": model},
        help="The model and its arguments.",
    )
    parser.add_subclass_arguments(
        keras.optimizers.Optimizer,
        "optimizer",
        skip={"learning_rate", *KERAS_ARGUMENTS},
        default={"class_path": "tfrecs.optimizers.Adam"},
        help="The optimizer and its arguments.",
    )
    return parser


def run(argv: Sequence[str]) -> None:
    """Runs `tfrecs train`."""
    names = {
        "model": class_names(models, base=models.Model),
        "loss": class_names(losses, base=losses.Loss),
        "optimizer": class_names(keras.optimizers, optimizers, base=keras.optimizers.Optimizer),
    }
    samplers = class_names(negatives, base=keras.layers.Layer)
    names |= dict.fromkeys(
        ("negatives", "candidates", "known", "popularity", "frequency"), samplers
    )
    words = with_class_paths(_expanded(argv), names)
    _check_words(words, {*names, "task"})
    settings = parse(make_parser(_model_of(words)), words).as_dict()
    model, optimizer = settings.pop("model"), settings.pop("optimizer")
    for name in ("config", "recipe"):
        settings.pop(name)
    check_config({"model": model, "optimizer": optimizer}, "the settings")
    # Before losses and other layers: they use TensorFlow.
    settings["strategy"] = make_strategy(settings["strategy"])
    model_class = find_class(model["class_path"])
    done = train(
        model=model_class,
        model_args=lambda split: built_arguments(model, split),
        optimizer=lambda rate: build(optimizer, rate),
        **settings,
    )
    if not is_chief(settings["strategy"]):
        return
    print(f"\nThe run is in {done.folder}. Next:")
    print(f"  tfrecs evaluate {done.folder}")
    print(f"  tfrecs export {done.folder} --output exports/{done.folder.name}")


def _expanded(argv: Sequence[str]) -> list[str]:
    """Turns --recipe, --resume and flags without a value into the settings they stand for."""
    first: list[str] = []
    rest: list[str] = []
    words = list(argv)
    while words:
        option, equals, value = words.pop(0).partition("=")
        alone = not equals and (not words or words[0].startswith("-"))
        if alone and option in ("--jit", "--deterministic", "--tf32"):
            rest.append(f"{option}=true")
            continue
        if option not in ("--recipe", "--resume"):
            rest.append(f"{option}{equals}{value}")
            continue
        if not equals and words and not words[0].startswith("-"):
            value = words.pop(0)
        if option == "--recipe":
            if not value:
                raise UserError(f"--recipe needs a name. There are: {', '.join(recipes.names())}.")
            first += ["--config", str(recipes.path(value))]
        elif value in ("", "true", "false"):
            rest += ["--resume", value or "true"]
        else:
            config = Path(value) / "config.yaml"
            if not config.is_file():
                raise UserError(f"there is no run to resume in {value}: it has no config.yaml")
            _ = Run(value).config  # Refuses a damaged one, which would pass for settings.
            first += ["--config", str(config), "--output", value]
            rest += ["--resume", "true"]
    return first + rest


def _model_of(argv: Sequence[str]) -> str:
    """Returns the class of the model that flags and files of settings ask for.

    Where a parser's default is of another class, it gives the asked one all of the default's
    arguments that have the same names.
    """
    chosen = DEFAULT_MODEL
    words = [part for word in argv for part in word.split("=", 1)]
    for option, value in itertools.pairwise(words):
        found: Any = None
        if option in ("--model", "--model.class_path"):
            found = value
            if Path(value).is_file():
                found = read_settings(Path(value))
            elif not re.fullmatch(r"[\w.]+", value):
                found = settings_of(value, option)
        elif option == "--config":
            found = read_settings(Path(value)).get("model")
        if isinstance(found, dict):
            found = found.get("class_path")
        chosen = found if isinstance(found, str) and found not in ("null", "None") else chosen
    return chosen


def _check_words(argv: Sequence[str], kinds: Collection[str]) -> None:
    """Refuses classes that a config may not name: the parser would import them.

    `kinds` are the last parts of the names of options that take a class.
    """
    words = list(argv)
    while words:
        option, equals, value = words.pop(0).partition("=")
        if not option.startswith("--"):
            continue
        if not equals:
            if not words or words[0].startswith("--"):
                continue
            value = words.pop(0)
        name = option.removeprefix("--").removesuffix(".help")
        if name == "config":
            if not Path(value).is_file():
                raise ConfigError(f"--config: there is no file {value}")
            if not isinstance(read_settings(Path(value)), dict):
                raise ConfigError(f"{value} holds no settings, such as the config.yaml of a run.")
        elif name.rpartition(".")[2] in {*kinds, "class_path"}:
            _check_value(option, value)
        elif re.match(r"\s*[{\[]", value):
            of_class = name.split(".")[0] in ("model", "optimizer")
            check = check_model_settings if of_class else check_config
            check(settings_of(value, option), option)


def _check_value(option: str, value: str) -> None:
    """Checks the value of an option for a class: its path, a file, or a spec as YAML."""
    if value in ("null", "None"):
        return
    if re.fullmatch(r"[\w.]+", value) and not Path(value).is_file():
        try:
            find_class(value)
        except ConfigError as error:
            raise ConfigError(f"{option}: {error}") from None
        return
    content = read_settings(Path(value)) if Path(value).exists() else settings_of(value, option)
    check_model_settings(content, option)
