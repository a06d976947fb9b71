import json
import os

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.training import CheckpointError, Checkpoints


def make_model(units=3):
    keras.utils.set_random_seed(units)
    model = keras.Sequential([keras.layers.Dense(units, input_shape=(2,))])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    return model


def step(model):
    model.train_on_batch(np.ones([4, 2]), np.zeros([4, 3]))


def values(model):
    return [v.numpy() for v in [*model.weights, *model.optimizer.variables]]


@pytest.fixture
def saved(tmp_path):
    """Epochs 1, 2 and 3 of a model, of which 2 and 3 are kept, and the variables of each."""
    model = make_model()
    checkpoints = Checkpoints(tmp_path / "checkpoints", model)
    after = {}
    for epoch in (1, 2, 3):
        step(model)
        checkpoints.save(epoch, {"rows": [epoch], "nan": float("inf")})
        after[epoch] = values(model)
    return checkpoints, after


def same(model, expected):
    return all(np.array_equal(a, b) for a, b in zip(values(model), expected, strict=True))


def test_weights_optimizer_and_state_come_back_in_a_fresh_model(saved):
    checkpoints, after = saved
    fresh = make_model()
    position, state = Checkpoints(checkpoints.folder, fresh).restore_latest()
    assert (position, state) == ((3, 0), {"rows": [3], "nan": float("inf")})
    assert same(fresh, after[3])
    # Adam's moments and step count too: the next step is the same.
    step(fresh)
    step(checkpoints.model)
    assert same(fresh, values(checkpoints.model))


def test_the_last_two_and_the_named_ones_are_kept(saved):
    checkpoints, _ = saved
    assert checkpoints.epochs() == [2, 3]
    checkpoints.save(4, {}, keep=[2])
    checkpoints.save(5, {}, keep=[2])
    assert checkpoints.epochs() == [2, 4, 5]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_checkpoints_within_epochs_take_turns_with_those_at_their_ends(saved):
    checkpoints, after = saved
    kept = []
    for position in [(3, 40), (3, 80), (4, 0), (4, 7), (4, 12)]:
        step(checkpoints.model)
        checkpoints.save(position[0], {"at": position}, keep=[2], batch=position[1])
        after[position] = values(checkpoints.model)
        kept.append([tuple(p) for p in checkpoints.positions()])
    assert kept == [
        [(2, 0), (3, 0), (3, 40)],
        [(2, 0), (3, 40), (3, 80)],
        [(2, 0), (3, 80), (4, 0)],
        [(2, 0), (4, 0), (4, 7)],
        [(2, 0), (4, 7), (4, 12)],
    ]
    assert checkpoints.epochs() == [2]
    assert checkpoints.path(4, 12).name == "epoch-0004-batch-000012"
    fresh = make_model()
    store = Checkpoints(checkpoints.folder, fresh)
    assert store.restore_latest() == ((4, 12), {"at": [4, 12]})
    assert same(fresh, after[4, 12])
    flip(checkpoints.path(4, 12) / "weights.index")
    assert store.restore_latest(lambda message: None)[0] == (4, 7)
    assert same(fresh, after[4, 7])
    # The training goes on from before the damaged one, which is then out of the way.
    store.save(4, {}, batch=9)
    assert store.positions() == [(4, 7), (4, 9)]


@pytest.mark.parametrize("of", ["weights", "optimizer"])
def test_what_is_not_finite_is_not_saved(saved, of):
    checkpoints, after = saved
    model = checkpoints.model
    variables = model.weights if of == "weights" else model.optimizer.variables
    kernel = next(v for v in variables if v.shape == (2, 3))
    kernel.assign(np.array([[1, 2, np.nan], [3, np.inf, 4]]))
    with pytest.raises(FloatingPointError, match=r"kernel.* no longer finite.*lower learning rate"):
        checkpoints.save(4, {})
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "epoch-0002",
        "epoch-0003",
    ]
    assert checkpoints.restore_latest()[0] == (3, 0)
    assert same(model, after[3])


DAMAGES = {
    "data flipped": lambda folder: flip(folder / "weights.data-00000-of-00001"),
    "index flipped": lambda folder: flip(folder / "weights.index"),
    "state flipped": lambda folder: (folder / "state.json").write_text(
        (folder / "state.json").read_text().replace("3", "4", 1)
    ),
    "data truncated": lambda folder: os.truncate(folder / "weights.data-00000-of-00001", 7),
    "index truncated": lambda folder: os.truncate(folder / "weights.index", 7),
    "state truncated": lambda folder: os.truncate(folder / "state.json", 20),
    "state empty": lambda folder: (folder / "state.json").write_text(""),
    "state of another kind": lambda folder: (folder / "state.json").write_text("[1, 2]"),
    "data missing": lambda folder: (folder / "weights.data-00000-of-00001").unlink(),
    "index missing": lambda folder: (folder / "weights.index").unlink(),
    "state missing": lambda folder: (folder / "state.json").unlink(),
    "all missing": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(saved, damage):
    checkpoints, after = saved
    DAMAGES[damage](checkpoints.path(3))
    fresh = make_model()
    before = values(fresh)
    store = Checkpoints(checkpoints.folder, fresh)
    with pytest.raises(CheckpointError, match="epoch-0003"):
        store.restore(3)
    assert same(fresh, before) or len(before) != len(values(fresh))  # restore builds the optimizer
    assert all(np.array_equal(a, b) for a, b in zip(before, values(fresh), strict=False))

    said = []
    position, state = store.restore_latest(said.append)
    assert (position, state["rows"]) == ((2, 0), [2])
    assert same(fresh, after[2])
    assert len(said) == 1
    assert "epoch-0003" in said[0]
    assert said[0].startswith("WARNING")


def test_never_a_silent_restart(saved):
    checkpoints, _ = saved
    for epoch in (2, 3):
        flip(checkpoints.path(epoch) / "weights.index")
    with pytest.raises(CheckpointError, match=r"No usable checkpoint .*epoch-0003.*epoch-0002"):
        checkpoints.restore_latest(lambda message: None)


def test_a_checkpoint_of_another_model_is_refused(saved):
    checkpoints, _ = saved
    with pytest.raises(CheckpointError, match="does not fit the model"):
        Checkpoints(checkpoints.folder, make_model(units=4)).restore(3)


def test_a_save_that_was_cut_short_is_not_there(saved, monkeypatch):
    checkpoints, after = saved

    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(4, {})
    assert checkpoints.epochs() == [2, 3]
    assert checkpoints.restore_latest()[0] == (3, 0)
    assert same(checkpoints.model, after[3])
    checkpoints.save(4, {})
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "epoch-0003",
        "epoch-0004",
    ]


def test_a_damaged_checkpoint_is_replaced_when_its_epoch_is_trained_again(saved):
    checkpoints, _ = saved
    flip(checkpoints.path(3) / "weights.index")
    checkpoints.restore_latest(lambda message: None)
    checkpoints.save(3, {"again": True})
    assert checkpoints.epochs() == [2, 3]
    assert checkpoints.restore_latest() == ((3, 0), {"again": True})
    assert not list(checkpoints.folder.glob(".*"))


def test_checksums_are_those_of_the_files(saved):
    import hashlib

    folder = saved[0].path(3)
    sums = json.loads((folder / "state.json").read_text())["sha256"]
    files = {path.name for path in folder.iterdir()} - {"state.json"}
    assert set(sums) == files | {"state"}
    for name in files:
        assert sums[name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_no_checkpoint_file_is_trusted(saved):
    """TensorFlow's own `checkpoint` file, were it garbage, would make a training start over."""
    checkpoints, _ = saved
    (checkpoints.folder / "checkpoint").write_text("garbage")
    assert checkpoints.restore_latest()[0] == (3, 0)
    assert tf.train.latest_checkpoint(str(checkpoints.folder)) is None
