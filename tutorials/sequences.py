# %% [markdown]
# # Four models of a history
#
# A sequence model reads what somebody met, in order, and says what comes next. SASRec, GRU4Rec,
# BERT4Rec and Caser are the four that most papers compare with. Here they learn from the same films
# by the same loss, so that only one thing differs: how a history becomes a vector.
#
# [quickstart](quickstart.ipynb) explains the data, the split and the loss; it comes first.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import tfrecs

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
BLUE, ORANGE, GREEN, RED = "#1f5fa8", "#e39a3b", "#3a8f5c", "#b5483a"
COLORS = {"SASRec": BLUE, "GRU4Rec": ORANGE, "BERT4Rec": GREEN, "Caser": RED}

log = tfrecs.data.load("ml-100k")
split = tfrecs.data.leave_last_out(log)
titles = log.item_features["title"]
print(split)

# %% [markdown]
# ## What each model reads
#
# All four have a vector $E_i$ for each item and score item $j$ by the cosine of a state and $E_j$.
#
# - **SASRec** ([Kang and McAuley, 2018](https://arxiv.org/abs/1808.09781)): attention. The state at
#   an item is a weighted mean over it and all items before it; the weights depend on the items.
# - **GRU4Rec** ([Hidasi et al., 2016](https://arxiv.org/abs/1511.06939)): recurrence. A state of
#   fixed size is carried from item to item; gates decide how much of it is replaced.
# - **Caser** ([Tang and Wang, 2018](https://arxiv.org/abs/1809.07426)): convolution. Filters slide
#   over the last few items (the `window`) and look for patterns of one, two, three items in a row.
# - **BERT4Rec** ([Sun et al., 2019](https://arxiv.org/abs/1904.06690)): attention in both
#   directions. Some items are hidden, and found again from those before *and* behind. To predict,
#   the model is given the history with a hidden item at its end.
#
# The picture shows which items (columns) each state (rows) is made of.

# %%
length, window = 8, 3
lower = np.tril(np.ones((length, length)))
reads = {
    "SASRec": lower,
    "GRU4Rec": lower,
    "Caser": lower - np.tril(lower, -window),
    "BERT4Rec": np.ones((length, length)),
}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6))
for axis, (name, matrix) in zip(axes, reads.items(), strict=True):
    shade = matrix * (0.75 ** (np.arange(length)[:, None] - np.arange(length)).clip(0))
    axis.imshow(shade if name == "GRU4Rec" else matrix, cmap="Blues", vmin=0, vmax=1.4)
    axis.set_title(name, fontsize=10)
    axis.set(xticks=[], yticks=[], xlabel="items, in order")
axes[0].set_ylabel("states")
plt.show()

# %% [markdown]
# ## Training
#
# A batch of training sequences serves all four: `"history"` and, at each position, the next item as
# `"target"`. SASRec, GRU4Rec and Caser learn from every position at once. BERT4Rec hides items in
# each step and learns from those alone, so an epoch teaches it less; it gets more of them.

# %%
shared = {"dim": 64, "max_length": 50, "similarity": "cosine", "temperature": 0.1, "seed": 1}
models = {
    "SASRec": tfrecs.models.SASRec(split.items, num_blocks=2, **shared),
    "GRU4Rec": tfrecs.models.GRU4Rec(split.items, hidden_dim=128, **shared),
    "Caser": tfrecs.models.Caser(split.items, window=8, activation="linear", **shared),
    "BERT4Rec": tfrecs.models.BERT4Rec(
        split.items, position="relative", mask_probability=0.3, prefixes=0.2, **shared
    ),
}
epochs = {"SASRec": 24, "GRU4Rec": 24, "Caser": 24, "BERT4Rec": 60}
curves, seconds = {}, {}
for name, model in models.items():
    model.compile(tfrecs.optimizers.Adam(1e-3))
    history = model.fit(
        model.examples(split.train).batch(32),
        epochs=epochs[name],
        validation_data=split.validation,
        callbacks=[tfrecs.training.BestWeights(patience=6)],
        verbose=0,
    )
    curves[name] = history.history["val_NDCG@10"]
    print(f"{name:8}  best of {len(curves[name])} epochs: NDCG@10 {max(curves[name]):.4f}")

# %%
figure, axis = plt.subplots(figsize=(7, 3.2))
for name, curve in curves.items():
    axis.plot(np.arange(1, len(curve) + 1), curve, color=COLORS[name], label=name)
axis.set(xlabel="epoch", ylabel="validation NDCG@10", ylim=(0, None))
axis.legend(frameon=False, ncols=4, loc="lower right", fontsize=9)
plt.show()

# %% [markdown]
# ## Which one is best?
#
# On the test, once. The intervals say how far each number could be off because *these* people were
# asked; a paired test asks whether two models differ on the same people, which is more telling.

# %%
reports = {name: tfrecs.evaluate(model, split.test) for name, model in models.items()}
rows = []
for name, report in reports.items():
    low, high = report.interval("NDCG@10")
    parameters = sum(int(np.prod(w.shape)) for w in models[name].trainable_weights)
    rows.append([report.metrics["HR@10"], report.metrics["NDCG@10"], low, high, parameters])
popularity = reports["SASRec"].baselines["popularity"]
rows.append([popularity["HR@10"], popularity["NDCG@10"], np.nan, np.nan, 0])
columns = ["HR@10", "NDCG@10", "low", "high", "parameters"]
table = pd.DataFrame(rows, index=[*reports, "popularity"], columns=columns)
assert (table["low"].iloc[:4] > popularity["NDCG@10"]).all()
table.round(4)

# %%
best, worst = table["NDCG@10"].iloc[:4].idxmax(), table["NDCG@10"].iloc[:4].idxmin()
comparison = reports[best].compare(reports[worst])
assert comparison["NDCG@10"].difference > 0
print(comparison)

# %% [markdown]
# Papers that report large gaps between these models often compare different losses and numbers of
# epochs. The loss matters more than the model
# ([Klenitskiy and Vasilev, 2023](https://arxiv.org/abs/2309.07602)): train all of them the same way
# before judging one.
#
# ## Inside SASRec: what attention looks at
#
# `attention_weights` gives, for each block, how much each position reads of each item: on the left
# at the last position, averaged over people; on the right all positions of one person.

# %%
full = [row for row in range(len(split.test)) if split.test.history.lengths[row] >= 50][:200]
histories = tf.constant(split.test.history.padded(np.array(full), 50))
weights = [w.numpy()[:, 0] for w in models["SASRec"].attention_weights(histories)]
assert np.allclose(weights[0].sum(axis=-1), 1, atol=1e-4)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
for block, (w, color) in enumerate(zip(weights, (BLUE, ORANGE), strict=True), start=1):
    left.plot(np.arange(50), w[:, -1, ::-1].mean(axis=0), color=color, label=f"block {block}")
left.set(xlabel="items back", ylabel="mean weight at the last position", ylim=(0, None))
left.legend(frameon=False)
shown = right.imshow(weights[0][0], cmap="Blues", vmax=np.quantile(weights[0][0], 0.99))
right.set(xlabel="item read", ylabel="position", title="one person, block 1")
figure.colorbar(shown, ax=right, shrink=0.8)
plt.show()

# %% [markdown]
# ## Inside GRU4Rec: what is kept
#
# At each item the update gate $z$ says how much of the state stays as it was:
# $h_t = z_t h_{t-1} + (1 - z_t) \tilde h_t$. The gate follows from the layer's weights. On this log
# all numbers of the state keep about half at each item, so what was seen ten items ago has almost
# gone: GRU4Rec reads the recent past, and gets far with it.

# %%
gru = models["GRU4Rec"]
kernel, recurrent, bias = gru.recurrent[0].get_weights()
items = gru.embedding(histories).numpy()
size = recurrent.shape[0]
state, gates = np.zeros((len(items), size), np.float32), []


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


for step in range(items.shape[1]):
    given = items[:, step] @ kernel + bias
    keep = sigmoid(given[:, :size] + state @ recurrent[:, :size])
    reset = sigmoid(given[:, size : 2 * size] + state @ recurrent[:, size : 2 * size])
    new = np.tanh(given[:, 2 * size :] + (reset * state) @ recurrent[:, 2 * size :])
    state = keep * state + (1 - keep) * new
    gates.append(keep)
gates = np.array(gates)
assert np.allclose(gru.output_layer(state), gru.states(histories, last_only=True)[:, 0], atol=1e-3)

assert 0.3 < gates.mean() < 0.7
order = np.argsort(gates.mean(axis=(0, 1)))
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
left.plot(gates.mean(axis=(0, 1))[order], color=ORANGE)
left.set(xlabel="numbers of the state, sorted", ylabel="mean share that is kept", ylim=(0, 1))
shown = right.imshow(gates[:, 0][:, order].T, aspect="auto", cmap="Oranges", vmin=0.3, vmax=0.7)
right.set(xlabel="item", ylabel="numbers of the state", title="one person")
figure.colorbar(shown, ax=right, shrink=0.8)
plt.show()

# %% [markdown]
# ## Inside Caser: filters
#
# A vertical filter is a weighted sum of the last items, one number a place. The weights have both
# signs: filters also take differences between what was seen last and what came before. A horizontal
# filter answers where a pattern of several items in a row fits best.

# %%
vertical = models["Caser"].convolution.weights[-2].numpy()
assert vertical.shape == (8, 4)
figure, axis = plt.subplots(figsize=(5, 2.8))
for number, filter_ in enumerate(vertical.T, start=1):
    axis.plot(np.arange(7, -1, -1), filter_, marker="o", markersize=3, label=f"filter {number}")
axis.axhline(0, color="0.7", linewidth=0.8)
axis.set(xlabel="items back", ylabel="weight")
axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# ## Inside BERT4Rec: filling a gap
#
# The others can only continue a history. BERT4Rec can also say what is missing in the middle of
# one. Here *The Empire Strikes Back* is hidden, which came after *Star Wars* and before *Return of
# the Jedi* and two films with Indiana Jones.

# %%
bert = models["BERT4Rec"]
sequence = split.items.encode([50, 172, 181, 174, 210]).reshape(1, -1)
hidden = sequence.copy()
hidden[0, 1] = bert.mask_id
states = bert.encode(tf.constant(hidden), tf.constant(hidden <= len(split.items)), False, False)
state = tf.math.l2_normalize(states[0, 1])
scores = tf.linalg.matvec(bert.item_vectors(), state).numpy()
scores[sequence[0, [0, 2, 3, 4]] - 1] = -np.inf
guesses = np.argsort(-scores)[:5] + 1
rank = int((scores > scores[sequence[0, 1] - 1]).sum()) + 1
print("hidden:", titles.loc[172], "- rank", rank)
assert rank <= 50
pd.DataFrame({"guess": titles.loc[split.items.decode(guesses)].to_list()}, index=range(1, 6))

# %% [markdown]
# ## Which one to take?
#
# - **SASRec** is the usual first choice; `block="ligr"` and `block="hstu"` are its newer relatives.
# - **GRU4Rec** carries a state of fixed size, however long the history is.
# - **Caser** reads the last few items only.
# - **BERT4Rec** fills gaps, and needs several times the epochs.
#
# All four take the same losses, negatives, features of items and exports.
# [two_tower](two_tower.ipynb) and [deep_cross](deep_cross.ipynb) show models that read features
# first of all, and [evaluation](evaluation.ipynb) how to compare models without fooling oneself.
