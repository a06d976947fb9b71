"""Two models whose scores can be told by hand, and what an export of them must answer."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tfrecs
from tests.serving.public_models import EXCLUSIONS, MODELS, known_items
from tfrecs._keras import tf
from tfrecs.models import Model
from tfrecs.serving import export

DECAY = 0.5
LOWEST = float(np.finfo(np.float32).min)


class Decay(Model):
    """score(j) = sum over the history of DECAY^age * table[item, j]; age 0 is the most recent."""

    def __init__(self, items, table, max_length):
        super().__init__(items)
        self.table = self.add_weight(
            name="table", shape=table.shape, initializer=tf.constant_initializer(table)
        )
        self.max_length = max_length

    @property
    def max_history(self):
        return self.max_length

    def counts(self, features):
        history = features["history"]
        length = tf.shape(history)[1]
        age = tf.cast(tf.range(length)[::-1], tf.float32)
        one_hot = tf.one_hot(history - 1, self.num_items)
        return tf.einsum("btn,t->bn", one_hot, DECAY**age)

    def score(self, features, items=None):
        scores = tf.matmul(self.counts(features), self.table)
        return scores if items is None else tf.gather(scores, items - 1, batch_dims=1)


class DecayProduct(Decay):
    """The same scores as a product of two vectors."""

    def score(self, features, items=None):
        return Model.score(self, features, items)

    def query_vectors(self, features):
        return self.counts(features)

    def item_vectors(self, items=None):
        vectors = tf.transpose(self.table)
        return vectors if items is None else tf.gather(vectors, items - 1)


@pytest.fixture(scope="session")
def reference():
    """What to answer one history of a Decay model, in plain Python: (raw ids, scores)."""

    def best(ids, table, max_length, history, k, padding):
        known = [ids.index(raw) for raw in history if raw in ids]
        scores = np.zeros(len(ids))
        for age, item in enumerate(reversed(known[-max_length:])):
            scores += DECAY**age * table[item].astype(np.float64)
        order = [j for j in np.argsort(-scores, kind="stable") if j not in known][:k]
        short = k - len(order)
        raw = [ids[j] for j in order] + [padding] * short
        return raw, [scores[j] for j in order] + [LOWEST] * short

    return best


@pytest.fixture(scope="session")
def make_model():
    """Makes a model of the given raw ids and a table of distinct random numbers."""

    def make(ids, max_length=3, product=True, seed=0):
        rng = np.random.default_rng(seed)
        table = rng.normal(size=(len(ids), len(ids))).astype(np.float32)
        kind = DecayProduct if product else Decay
        return kind(tfrecs.data.Vocabulary(ids), table, max_length), table

    return make


@pytest.fixture(scope="session")
def run_alone():
    """Runs Python in a process that cannot import tfrecs, and returns its standard output."""

    def run(*arguments: str, stdin: str = "") -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            input=stdin,
            env=environment | {"TF_CPP_MIN_LOG_LEVEL": "2"},
            cwd=Path(sys.executable).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def answer():
    """Asks an export's signature in this process; ids come back as int or str."""

    def ask(folder, rows, exclude=None):
        manifest = json.loads(Path(folder, "assets.extra", "tfrecs_manifest.json").read_text())
        dtype = tf.int64 if manifest["id_dtype"] == "int64" else tf.string
        loaded = tf.saved_model.load(str(folder))
        if exclude is None:
            exclude = [[manifest["padding_id"]] * manifest["num_exclusions"]] * len(rows)
        width = manifest["num_exclusions"]
        exclude = tf.reshape(tf.constant(exclude, dtype), [len(rows), width])
        out = loaded.signatures["serving_default"](
            history=tf.constant(rows, dtype), exclude=exclude
        )
        ids = out["item_id"].numpy().tolist()
        if dtype == tf.string:
            ids = [[raw.decode() for raw in row] for row in ids]
        return ids, out["score"].numpy()

    return ask


@pytest.fixture(scope="session")
def public_export(tmp_path_factory):
    """Exports a public model by its name, once: `public_export("SASRec")` is its newest version."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of all workers
    base = base / "public"
    base.mkdir(exist_ok=True)

    def exported(name: str) -> Path:
        folder = base / name / "1"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                model = MODELS[name]()
                export(
                    model,
                    base / name,
                    k=model.num_items,
                    num_exclusions=EXCLUSIONS,
                    known_items=known_items(model),
                )
        return folder

    return exported


@pytest.fixture
def no_proxies(monkeypatch):
    """What is on this machine is asked directly, whatever the environment says."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
