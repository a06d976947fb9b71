"""Which settings and folders a training may go on with."""

import pytest

from tfrecs.data import Vocabulary
from tfrecs.models import SASRec
from tfrecs.training import Run, RunError
from tfrecs.training.checks import check_folder, check_same

CONFIG = {
    "data": "log.csv",
    "split_args": {"quantiles": (0.5, 0.75)},
    "model": {"class_path": "tfrecs.models.SASRec", "init_args": {"dim": 8}},
    "learning_rate": 1e-05,
    "checkpoint_minutes": 10.0,
}


def model(*items):
    return SASRec(Vocabulary(list(items)), dim=8, num_blocks=1, max_length=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("runs") / "first")
    run.begin(CONFIG, model(1, 2))
    return run


def test_the_same_settings_are_the_same_after_they_were_written(run):
    check_folder(run, resume=False)
    check_folder(run, resume=True)
    check_same(run, CONFIG, model(1, 2))
    check_same(run, CONFIG | {"checkpoint_minutes": None}, model(1, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 1e-4}, r"was started with learning_rate 1e-05, not 0\.0001\. Go on"),
        ({"split_args": {"quantiles": (0.5, 0.8)}}, r"with split_args\.quantiles \[0\.5, 0\.75\]"),
        ({"split_args": None}, r"with split_args {'quantiles': \[0\.5, 0\.75\]}, not None"),
        ({"model": {"init_args": {"dim": 8}}}, r"with model\.class_path tfrecs\.models\.SASRec, n"),
        ({"novel": 3}, "with novel None, not 3"),
    ],
)
def test_what_differs_is_named(run, change, message):
    with pytest.raises(RunError, match=message):
        check_same(run, CONFIG | change, model(1, 2))


def test_other_items_are_refused(run):
    with pytest.raises(RunError, match=r"The items of log\.csv are not those .* data have changed"):
        check_same(run, CONFIG, model(1, 3))
