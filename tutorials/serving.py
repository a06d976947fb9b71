# %% [markdown]
# # Serving: what an export can do
#
# A trained model becomes a *SavedModel*: a folder with a graph, weights and vocabularies, which
# TensorFlow Serving, or any TensorFlow, runs without Python's help. This tutorial looks into the
# folder, asks it in several ways, breaks it to see whether that is found out, and says how to start a
# server. How the models come about is in [quickstart](quickstart.ipynb) and [two_tower](two_tower.ipynb).

# %%
import json
import shutil
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import tfrecs

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})

log = tfrecs.data.load("ml-100k")
split = tfrecs.data.leave_last_out(log)
titles = log.item_features["title"]


def trained(model, batch_size, epochs):
    """A short training: how good a model is plays no part here."""
    tf.keras.utils.set_random_seed(1)
    model.compile(tfrecs.optimizers.Adam(2e-3))
    model.fit(model.examples(split.train).batch(batch_size), epochs=epochs, verbose=0)
    return model


model = trained(tfrecs.models.SASRec(split.items, dim=32, num_blocks=1, seed=1), 32, epochs=5)

# %% [markdown]
# ## The folder
#
# `export` compares what it has written with the model, and gives the folder its name only then, in one
# step: a server that watches `exports/sasrec` never sees half a version. Versions are numbers; the
# largest is served.

# %%
first = Path(tfrecs.serving.export(model, "exports/sasrec", k=20))
second = Path(tfrecs.serving.export(model, "exports/sasrec", k=20))
print(first, second)
pd.DataFrame(
    [(str(p.relative_to(second)), p.stat().st_size) for p in sorted(second.rglob("*")) if p.is_file()],
    columns=["file", "bytes"],
)

# %% [markdown]
# - `saved_model.pb` and `variables/`: the graph and its weights;
# - `assets/`: the vocabularies, one raw id a line. They are part of the model and move with it;
# - `assets.extra/`: what is not part of the graph: the manifest, and warmup requests, which a server
#   answers before it lets anybody else ask.
#
# ## Signatures
#
# A *signature* is a function that can be asked for by name. The manifest describes each of them, with
# the type and shape of every input and what stands for a missing value; `None` is any size.

# %%
recommender = tfrecs.serving.Recommender("exports/sasrec")
manifest = recommender.manifest


def described(manifest):
    return pd.DataFrame(
        [
            (name, way, key, it["dtype"], str(it["shape"]), it.get("missing", ""))
            for name, signature in manifest["signatures"].items()
            for way in ("inputs", "outputs")
            for key, it in signature[way].items()
        ],
        columns=["signature", "", "name", "type", "shape", "missing"],
    )


described(manifest)

# %% [markdown]
# - `serving_default` recommends, and is what is asked where no name is given;
# - `score` scores the candidates that it is given;
# - `query_vectors` and `item_vectors` are there where a score is a product of two vectors.
#
# A model that knows users by their id alone, such as `MatrixFactorization`, takes `user_id` in place of
# `history`. What its users know is left out by `exclude`: see below.
#
# ## Raw ids in, raw ids out
#
# Histories of a batch have one length: shorter ones are padded, on either side, with the manifest's
# `padding_id`. Ids that the model does not know are skipped. No item of a history is recommended.
# `exclude` has places for more items that are not to be, here none.

# %%
loaded = tf.saved_model.load(str(second))
served = loaded.signatures["serving_default"]
pad, unknown, places = manifest["padding_id"], 10**9, manifest["num_exclusions"]


def ask(histories, exclude=()):
    """The signature's answer; `exclude` is for all of them."""
    row = [*exclude, *[pad] * (places - len(exclude))]
    return served(
        history=tf.constant(histories, tf.int64),
        exclude=tf.constant([row] * len(histories), tf.int64),
    )


histories = [
    [50, 172, 181],  # Star Wars, The Empire Strikes Back, Return of the Jedi
    [pad, pad, 1],  # Toy Story
    [1, unknown, pad],  # the same, with an id that nobody knows
]
answer = ask(histories)
items, scores = answer["item_id"].numpy(), answer["score"].numpy()

assert not {50, 172, 181} & set(items[0])
assert (items[1] == items[2]).all()
pd.DataFrame({f"after {h}": titles.loc[row[:5]].to_list() for h, row in zip(histories, items)})

# %% [markdown]
# Are those the model's own scores? The model knows ids 1 to n inside, and its history is padded on the
# left.

# %%
inside = np.zeros((1, 3), np.int32)
inside[0] = split.items.encode([50, 172, 181])
own = np.array(model.score({"history": tf.constant(inside)}))[0]
own[inside[0] - 1] = -np.inf
expected = np.argsort(-own)[:20] + 1

assert split.items.decode(expected).tolist() == items[0].tolist()
np.testing.assert_allclose(own[expected - 1], scores[0], rtol=1e-5)

# %% [markdown]
# ## What is not to be recommended
#
# Somebody has the best three on a shelf, or the shop has sold out. The number of places is fixed
# (`export(..., num_exclusions=10)`), because a server puts only requests of one shape into one batch; what
# is not used is filled up with `padding_id`. Ids that the model does not know count for nothing.

# %%
without = ask(histories, exclude=[*items[0, :3], unknown])["item_id"].numpy()

# What came after the three moves up.
assert without[0, :17].tolist() == items[0, 3:].tolist()
titles.loc[without[0, :5]].to_list()

# %% [markdown]
# ## Scores of candidates
#
# The other way round: the items are given, by a search or an editor, and the model is to put them in
# order. An id that it does not know gets the least float32, which comes last. `Recommender` fills up what
# is shorter than the rest.

# %%
shelf = pd.DataFrame(
    {
        "history": [[50, 172, 181], [1]],
        "candidates": [[*items[0, :2], 1, 588, unknown], [588, 1]],  # 588: Beauty and the Beast
    }
)
of_candidates = recommender.score(shelf)

# The scores by which is recommended.
np.testing.assert_allclose(of_candidates[0, :2], scores[0, :2], rtol=1e-5)
assert of_candidates[0, -1] == np.finfo(np.float32).min
pd.Series(of_candidates[0, :4], titles.loc[shelf["candidates"][0][:4]]).sort_values(ascending=False)

# %% [markdown]
# ## A damaged export
#
# A copy that lost a bit on its way is a model that is quietly wrong. TensorFlow does not check the graph
# or the vocabularies, so the manifest has the sha256 of every file.

# %%
damaged = Path("exports/damaged/1")
shutil.copytree(second, damaged)
vocabulary = damaged / manifest["vocabulary"]
content = bytearray(vocabulary.read_bytes())
content[0] ^= 1
vocabulary.write_bytes(content)

tf.saved_model.load(str(damaged))  # TensorFlow loads it without a word
try:
    tfrecs.serving.Recommender(damaged)
    refused = None
except ValueError as error:
    refused = str(error)
print(refused)
assert refused is not None
assert "damaged" in refused

# %% [markdown]
# Whole files can still answer wrongly, by another processor or another TensorFlow. So the manifest keeps
# requests with the answers that they must get, to be asked wherever the export arrives:

# %%
golden = next(g for g in manifest["golden"] if g["signature"] == "serving_default")
again = served(**{name: tf.constant(rows, tf.int64) for name, rows in golden["inputs"].items()})
np.testing.assert_allclose(again["score"], golden["outputs"]["score"], rtol=1e-4)
{name: np.shape(rows) for name, rows in golden["inputs"].items()}

# %% [markdown]
# `verify` does both, checksums and golden requests of all signatures, and needs the folder alone. So does
# `tfrecs verify exports/sasrec` in a terminal, whose exit code a deployment can go by.

# %%
verified = tfrecs.serving.verify("exports/sasrec")
print(len(verified["golden"]), "golden requests,", len(verified["files"]), "checksums")
try:
    tfrecs.serving.verify(damaged)
    refused = None
except ValueError as error:
    refused = str(error)
assert "damaged" in refused

# %% [markdown]
# ## New users and items
#
# A two-tower model makes vectors of features, and so does its export: raw values in, a vector out. A
# feature that is missing is what the model knows of the id. Here is a film that does not exist.

# %%
towers = trained(tfrecs.models.TwoTower.from_split(split, dim=32, seed=1), 1024, epochs=3)
folder = tfrecs.serving.export(towers, "exports/towers")
vectors = tfrecs.serving.Recommender(folder)
described(vectors.manifest)

# %%
new = pd.DataFrame(
    {
        "item_id": [-1, 1],  # no id that the model knows; Toy Story
        "title": ["Return of the Empire", None],
        "release_year": [1998, None],
        "genres": [["Action", "Sci-Fi", "War"], None],
    }
)
user = pd.DataFrame({"user_id": [1], "history": [[50, 172, 181]]})
item_vectors, query_vectors = vectors.item_vectors(new), vectors.query_vectors(user)
print("score of the new film and of Toy Story:", (query_vectors @ item_vectors.T).round(3)[0])

# What is known of Toy Story stood in for what was missing.
of_the_model = np.asarray(towers.item_vectors(tf.constant(split.items.encode([1]))))
np.testing.assert_allclose(item_vectors[1], of_the_model[0], rtol=1e-3, atol=1e-5)
assert np.abs(item_vectors[0]).sum() > 0

# %% [markdown]
# ## How fast?
#
# A request is answered by one pass of the model and an exact search of the whole catalogue. Requests
# that arrive together are answered together (TensorFlow Serving's batching), which costs each of them
# less.

# %%
sizes = [1, 2, 4, 8, 16, 32, 64]
rng = np.random.default_rng(1)
milliseconds = []
for size in sizes:
    request = {
        "history": tf.constant(rng.choice(split.items.ids, (size, 50)), tf.int64),
        "exclude": tf.fill([size, places], tf.constant(pad, tf.int64)),
    }
    served(**request)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        served(**request)["score"].numpy()
        times.append(time.perf_counter() - start)
    milliseconds.append(1000 * np.median(times))

figure, panel = plt.subplots(figsize=(7, 3))
panel.plot(sizes, milliseconds, "o-", color="#1f5fa8", label="a batch")
panel.plot(sizes, np.divide(milliseconds, sizes), "o-", color="#e39a3b", label="a request of it")
panel.set(xscale="log", yscale="log", xlabel="requests in a batch", ylabel="milliseconds, median")
panel.set_xticks(sizes, sizes)
panel.minorticks_off()
panel.legend(frameon=False)
plt.show()

# %%
assert milliseconds[-1] / 64 < milliseconds[0]

# %% [markdown]
# ## A server
#
# TensorFlow Serving takes the folder of versions as it is. With Docker, from a clone of the repository:
#
# ```
# docker build --file docker/serving.Dockerfile --tag tfrecs-serving .
# docker run --rm --publish 127.0.0.1:8501:8501 --volume "$PWD/exports/sasrec:/models/sasrec:ro" tfrecs-serving
# ```
#
# or all of it, training on MovieLens-100K, export and server:
#
# ```
# docker compose --file docker/compose.yaml up --build --detach
# ```
#
# A request is JSON over HTTP, an object for each history:

# %%
nothing = [pad] * places
request = {
    "instances": [
        {"history": [50, 172, 181], "exclude": nothing},
        {"history": [pad, pad, 1], "exclude": nothing},
    ]
}
print("curl --data", repr(json.dumps(request)), "http://localhost:8501/v1/models/sasrec:predict")

# %% [markdown]
# and the answer has as many objects, with the outputs of the signature. What the server will say is what
# the export says here:

# %%
answer = served(
    **{
        name: tf.constant([instance[name] for instance in request["instances"]], tf.int64)
        for name in ("history", "exclude")
    }
)
predictions = [
    {"item_id": ids[:3].tolist(), "score": values[:3].astype(float).round(4).tolist()}
    for ids, values in zip(answer["item_id"].numpy(), answer["score"].numpy())
]
print(*map(json.dumps, predictions), sep="\n")  # the first three of 20
assert len(predictions) == len(request["instances"])

# %% [markdown]
# ## From Python
#
# `tfrecs.serving.Client` asks a server as `Recommender` asks a folder: it learns the signatures from the
# server, fills up histories and `exclude`, and splits what is too much for one request. An address with
# `http://` means REST; `"localhost:8500"` means gRPC, which is faster and needs the extra `serving`. Start
# the server above to have it answered. Where this notebook was built there was none, and what is printed is
# the error of that.

# %%
client = tfrecs.serving.Client(
    "http://localhost:8501", model="sasrec", history_width=manifest["max_history"]
)
try:
    print(client.recommend([50, 172, 181], k=3, exclude=[1]))
    print(client.score(shelf))
except tfrecs.serving.ServingError as error:
    print(error)

# %% [markdown]
# ## In production
#
# A new version that `tfrecs export` writes into the folder is loaded by the running server, and the old one
# goes on answering until then. To go back, take the new folder away. What to keep in mind:
#
# - histories of one request, and of requests that are batched together, have one length: fill them up to
#   the manifest's `max_history`, which is what `history_width` does;
# - an export runs no Python, but it is a program: load those that you made, or whose checksums you got from
#   somebody you trust;
# - `docker/README.md` tells of batching, monitoring and health checks, `docs/docker.md` of what was tried.
