"""Losses and negatives that hold something of the training data: that of the run."""

import functools

import numpy as np
import pandas as pd
import pytest
import yaml

import tfrecs
from tfrecs._keras import tf
from tfrecs.cli import main
from tfrecs.configured import bind
from tfrecs.losses import BinaryCrossEntropy, SampledSoftmax
from tfrecs.models import MatrixFactorization
from tfrecs.negatives import (
    InBatch,
    ItemFrequency,
    KnownItems,
    Mined,
    Mixed,
    Popularity,
    SameValue,
    StreamingFrequency,
    Uniform,
)
from tfrecs.training import Run

# A user and an item of another log.
ELSEWHERE = KnownItems.from_interactions([1], [1], 1, 2)
COUNTS = [3, 1]


def parts(kind, whole):
    return [part for part in [whole, *whole.submodules] if isinstance(part, kind)]


def known_pairs(known, split):
    """The pairs that a layer tells, by its hash set, which is not the array that it also has."""
    everyone = tf.range(1, len(split.users) + 1)
    return known.contains(everyone, tf.range(1, len(split.items) + 1)).numpy()


def pairs_of(split):
    known = np.zeros((len(split.users), len(split.items)), bool)
    for user, items in zip(split.train.user_ids, split.train.histories, strict=True):
        known[user - 1, items - 1] = True
    return known


@pytest.fixture(scope="module")
def job(log_file, quiet):
    return functools.partial(
        tfrecs.train,
        data=log_file,
        model=MatrixFactorization,
        epochs=1,
        batch_size=32,
        console=quiet,
    )


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_known_items_are_those_of_the_run(job, tmp_path, shared):
    negatives = Uniform(4, shared, seed=1, known=ELSEWHERE)
    loss = BinaryCrossEntropy(negatives=negatives)
    run = job(tmp_path / "run", model_args={"dim": 4, "loss": loss})
    split, model = run.load_split(), run.load_model()
    (known,) = parts(KnownItems, model)
    np.testing.assert_array_equal(known_pairs(known, split), pairs_of(split))
    (sampler,) = parts(Uniform, model)
    # And the sampler goes by them: also what it derived from them is this run's.
    users = tf.repeat(tf.range(1, len(split.users) + 1), 50)
    sample = sampler(tf.ones_like(users), len(split.items), user_ids=users)
    ids = tf.broadcast_to(sample.ids, [len(users), 4]).numpy()
    allowed = np.ones_like(ids, bool) if sample.allowed is None else sample.allowed.numpy()
    knows = pairs_of(split)[users.numpy()[:, np.newaxis] - 1, ids - 1]
    assert allowed.any()
    assert not knows[allowed].any()
    # The object that was given is as it was.
    assert negatives.known is ELSEWHERE
    # The config says whose items they are, and no sizes.
    loss = yaml.safe_load((run.folder / "config.yaml").read_text())["model"]["init_args"]["loss"]
    known = loss["init_args"]["negatives"]["init_args"]["known"]
    assert known == {"class_path": "tfrecs.negatives.KnownItems", "init_args": {}}


@pytest.mark.slow
def test_the_command_line_from_its_own_config(tmp_path, log_file, capsys):
    flags = [
        "--model=matrix_factorization",
        "--model.dim=4",
        "--model.loss=binary_cross_entropy",
        "--model.loss.negatives=popularity",
        "--model.loss.negatives.num_negatives=4",
        "--model.loss.negatives.known=known_items",
        "--model.loss.popularity=item_frequency",
        "--epochs=1",
        "--batch_size=32",
    ]
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", f"--data={log_file}", f"--output={first}", *flags]) == 0
    assert main(["train", f"--config={first / 'config.yaml'}", f"--output={second}"]) == 0
    split = Run(first).load_split()
    models = [Run(folder).load_model() for folder in (first, second)]
    for model in models:
        (known,) = parts(KnownItems, model)
        np.testing.assert_array_equal(known_pairs(known, split), pairs_of(split))
        (frequency,) = parts(ItemFrequency, model)
        counts = split.train.item_counts[1:-1]
        shares = tf.exp(frequency(tf.range(1, len(split.items) + 1)))
        np.testing.assert_allclose(shares, counts / counts.sum(), rtol=1e-5)
    for one, other in zip(*(model.variables for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    assert main(["train", "--resume", str(first)]) == 0  # It is finished: the test alone.
    capsys.readouterr()


@pytest.mark.parametrize("sampler", ["in_batch", "cross_batch"])
def test_the_command_line_builds_what_tells_frequencies(sampler, tmp_path, log_file):
    flags = [
        "--model.loss=sampled_softmax",
        "--model.loss.logq=corrected",
        f"--model.loss.negatives={sampler}",
        "--model.loss.negatives.num_negatives=8",
        "--model.loss.negatives.frequency=streaming_frequency",
        "--model.loss.negatives.frequency.num_buckets=20",
        "--model.dim=4",
        "--epochs=1",
    ]
    run = tmp_path / "run"
    assert main(["train", f"--data={log_file}", f"--output={run}", *flags]) == 0
    (frequency,) = parts(StreamingFrequency, Run(run).load_model())
    assert frequency.num_buckets == 20


@pytest.mark.slow
def test_a_function_of_the_split_is_taken_at_its_word(job, tmp_path):
    made = []

    def model_args(split):
        counts = split.train.item_counts[1:-1] * 0 + 7
        made.append(SampledSoftmax(negatives=Popularity(4, counts, alpha=1.0, shared=False)))
        return {"dim": 4, "loss": made[-1]}

    run = job(tmp_path / "run", model_args=model_args)
    assert len(made) == 1
    (sampler,) = parts(Popularity, run.load_model())
    users = tf.ones([3], tf.int32)
    sample = sampler(users, sampler.num_items, user_ids=users)
    np.testing.assert_allclose(tf.exp(sample.log_probability), 1 / sampler.num_items, rtol=1e-5)


@pytest.fixture(scope="module")
def split(log_file):
    return tfrecs.data.leave_last_out(tfrecs.data.read(log_file))


@pytest.mark.parametrize(
    "layer",
    [
        ItemFrequency(COUNTS),
        InBatch(4, ItemFrequency(COUNTS)),
        Mixed([InBatch(4, ItemFrequency(COUNTS)), Uniform(4)]),
        SampledSoftmax(negatives=InBatch(4, ItemFrequency(COUNTS))),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_counts_are_the_splits_wherever_they_are(layer, split):
    again = bind(layer, split)
    assert type(again) is type(layer)
    (frequency,) = parts(ItemFrequency, again)
    counts = split.train.item_counts[1:-1]
    shares = tf.exp(frequency(tf.range(1, len(counts) + 1)))
    np.testing.assert_allclose(shares, counts / counts.sum(), rtol=1e-5)


def test_the_values_of_a_column(log_file):
    log = tfrecs.data.read(log_file)
    items = log.frame.item_id.unique()
    features = pd.DataFrame({"item_id": items, "kind": items % 2})
    split = tfrecs.data.leave_last_out(tfrecs.data.Interactions(log.frame, item_features=features))
    sampler = bind(SameValue(4, [1, 1, 2], seed=1, column="kind"), split)
    ids = tf.range(1, len(split.items) + 1)
    kinds = split.items.ids.astype(int) % 2
    drawn = sampler(ids, len(split.items)).ids.numpy()
    np.testing.assert_array_equal(kinds[drawn - 1], np.repeat(kinds[:, np.newaxis], 4, 1))


def test_what_a_split_cannot_say_is_an_error(split):
    with pytest.raises(ValueError, match="what was mined is lost"):
        bind(SampledSoftmax(negatives=Mined(3, 5, 9)), split)
    with pytest.raises(ValueError, match="column is None and the items have no features"):
        bind(SameValue(2, [1, 1]), split)
    for cls, arguments in ((Popularity, [4]), (ItemFrequency, [])):
        with pytest.raises(ValueError, match=f"{cls.__name__}.from_split counts a split"):
            cls(*arguments)
    with pytest.raises(ValueError, match="values must say"):
        SameValue(2)


def test_a_grown_model_leaves_out_what_users_know_now(log_file):
    log = tfrecs.data.read(log_file)
    before = tfrecs.data.leave_last_out(log)
    loss = BinaryCrossEntropy(
        negatives=Uniform(4, shared=False, known=KnownItems.from_split(before)),
        popularity=ItemFrequency.from_split(before),
    )
    model = MatrixFactorization.from_split(before, dim=4, loss=loss)
    longer = log.frame.assign(
        timestamp=lambda x: x.timestamp + 100, item_id=lambda x: x.item_id + 3
    )
    new_log = tfrecs.data.Interactions(longer).continuing(before.users, before.items)
    after = tfrecs.data.leave_last_out(new_log)
    grown = model.grown(after)
    (known,) = parts(KnownItems, grown)
    np.testing.assert_array_equal(known_pairs(known, after), pairs_of(after))
    assert not np.array_equal(
        pairs_of(after)[: len(before.users), : len(before.items)], pairs_of(before)
    )
    (frequency,) = parts(ItemFrequency, grown)
    assert frequency.num_items == len(after.items) > len(before.items)
    np.testing.assert_array_equal(grown.item_vectors()[: len(before.items)], model.item_vectors())
