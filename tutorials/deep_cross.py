# %% [markdown]
# # Ranking by features: DCN-V2
#
# A retrieval model finds a few hundred candidates among millions. A *ranking* model looks at each of
# them with everything that is known, and says how likely it is to be liked. What it needs are
# *crosses* of features: that a film is for children may say little, and that somebody is fifty may
# say little, and the two together a lot.
#
# This tutorial encodes numbers in several ways, trains
# [DCN-V2](https://arxiv.org/abs/2008.13535) (Wang et al., 2021), and draws the crosses that it has
# learned.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import tfrecs

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
tf.keras.utils.set_random_seed(1)

# %% [markdown]
# ## Rows with labels
#
# A rating of 4 or 5 stars is a film that was liked, one of 1 or 2 stars was not; those of 3 stars are
# left out. `click_through` parts the rows 8 : 1 : 1 at random.
#
# Two numbers are added to the features: how often a film was rated, and how many films a person
# rated. (They count ratings and do not look at the stars, which are what is to be predicted.)

# %%
log = tfrecs.data.load("ml-100k")
times_rated = log.frame["item_id"].value_counts().rename("times_rated")
films_rated = log.frame["user_id"].value_counts().rename("films_rated")
log = tfrecs.data.Interactions(
    log.frame,
    user_features=log.user_features.join(films_rated).drop(columns="zip_code").reset_index(),
    item_features=log.item_features.join(times_rated).drop(columns="title").reset_index(),
    name="ml-100k",
)
split = tfrecs.data.click_through(log)
print(split.protocol)
print(split.user_features)
print(split.item_features)

# %% [markdown]
# `Schema` has read from the data what the columns are: `Categorical`, `Numeric`, ...; a film has up
# to six genres. Any column can be said otherwise, `schema.with_columns(age=Numeric("squashing"))`.
#
# ## Numbers
#
# A category has a vector. A number has one value, on a scale of its own, often with a long tail, and
# what one wants to know of it seldom rises in a straight line. A network that gets it as it is must
# bend that line first. These layers do it beforehand:
#
# - `Standardization`, $(x - m) / d$ with mean and standard deviation: the line itself;
# - `Squashing`, $\sigma(s\,(x - m)/d + t)$ with learned $s$ and $t$: a bend that no tail can break;
# - `Discretization`: the vector of the bin that holds $x$; bins are quantiles. Any shape, in steps;
#   and two values of one bin are the same;
# - `PiecewiseLinearEncoding` (PLE, [Gorishniy et al., 2022](https://arxiv.org/abs/2203.05556)): a
#   coordinate a bin $[b_{t-1}, b_t)$,
#
# $$e_t = \operatorname{clip}\left(\frac{x - b_{t-1}}{b_t - b_{t-1}},\ 0,\ 1\right)$$
#
#   which is 1 for the bins below $x$, a fraction in its own, and 0 above. (The first bin is not
#   clipped below and the last not above, so that values outside of the data's range still differ.) A
#   linear layer on top of it is any curve of straight pieces: the shape of the bins, without the steps.
#   In a model `PiecewiseLinearEmbedding` puts that linear layer on top.
#
# What each of them makes of a film's year. Most ratings are of films of a few years, so two of the seven
# edges of six bins fall on the same year and are one: five bins are left, and the sixth coordinate of the
# piecewise encoding is always 0. Of `Discretization` the number of the bin is drawn, in place of its vector:

# %%
rows = split.train.columns["item_id"]
years = split.item_features.columns["release_year"][rows]
grid = np.linspace(1930, 1998, 300, dtype=np.float32)[:, None]

layers = {
    "standard": tfrecs.layers.Standardization(),
    "squashing": tfrecs.layers.Squashing(),
    "discretization": tfrecs.layers.Discretization(dim=1, num_bins=6, seed=1),
    "piecewise": tfrecs.layers.PiecewiseLinearEncoding(num_bins=6),
}
figure, panels = plt.subplots(1, 4, figsize=(12, 2.6))
for panel, (name, layer) in zip(panels, layers.items()):
    layer.adapt(years[:, None])
    encoded = np.asarray(layer(grid)).reshape(len(grid), -1)
    if name == "discretization":  # the bins, not their vectors, which are random as yet
        encoded = np.asarray(layer.bins_of(grid))
    panel.plot(grid, encoded)
    panel.set_title(name, fontsize=10)
    panel.set_xlabel("year")
plt.tight_layout()
plt.show()

# %% [markdown]
# ### One number alone
#
# How well can each encoding follow a shape? Older films in the log are liked more, perhaps because
# those that are still watched are the good ones, and not along a line. The same small network is
# trained on the year alone, once for each encoding. Dots are the share of rows of each year that were
# liked, the larger the more rows.

# %%
ENCODINGS = ("standard", "squashing", "discretization", "piecewise")
flat = tfrecs.data.Interactions(log.joined(), name="ml-100k")


def trained(encoding, names, epochs=12):
    """A model of some numbers, all encoded alike, and the split that it learned from."""
    numbers = {name: tfrecs.data.Numeric(encoding) for name in names}
    split = tfrecs.data.click_through(flat, context=tfrecs.data.Schema(numbers))
    tf.keras.utils.set_random_seed(1)
    model = tfrecs.models.DeepCross(
        split.context, dim=8, cross_layers=2, deep_units=(32,), dropout=0.0, seed=1
    )
    model.adapt(split.train)
    model.compile(tfrecs.optimizers.Adam(5e-3))
    best = tfrecs.training.BestWeights("val_LogLoss", patience=3, mode="min")
    model.fit(
        split.train.batch(1024),
        epochs=epochs,
        validation_data=split.validation,
        callbacks=[best],
        verbose=0,
    )
    return model, split


# %%
of_year = {encoding: trained(encoding, ["release_year"]) for encoding in ENCODINGS}

_, year_split = of_year["piecewise"]
rows_of_years = pd.DataFrame(
    {"year": year_split.train.columns["release_year"], "liked": year_split.train.labels}
)
by_year = rows_of_years.groupby("year")["liked"].agg(["mean", "size"]).query("size >= 30")

curves = {}
for encoding, (model, _) in of_year.items():
    given = {"release_year": tf.constant(by_year.index, tf.float32)}
    curves[encoding] = np.asarray(model(given))
misfit = {
    encoding: np.sqrt(np.average((curve - by_year["mean"]) ** 2, weights=by_year["size"]))
    for encoding, curve in curves.items()
}

figure, panel = plt.subplots(figsize=(9, 3.8))
panel.scatter(by_year.index, by_year["mean"], s=by_year["size"] / 15, color="0.8")
for encoding, curve in curves.items():
    panel.plot(by_year.index, curve, label=f"{encoding} (off by {misfit[encoding]:.3f})")
panel.set(xlabel="year of the film", ylabel="share that was liked")
panel.legend(frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# The network behind it bends the line and the sigmoid a little; bins and straight pieces follow where
# these cannot. Bins jump, though, and what a jump says of a single year may be noise.

# %%
is_old = rows_of_years["year"] < 1970
assert rows_of_years["liked"][is_old].mean() > rows_of_years["liked"][~is_old].mean() + 0.05
assert max(misfit["piecewise"], misfit["discretization"]) < misfit["squashing"]

# %% [markdown]
# ### Four numbers
#
# Now all four numbers together, without anything else: no ids, no categories. *AUC* is how often a
# row that was liked gets a higher probability than one that was not. *Log loss* is the mean of
# $-\log$ of the probability that was given to what happened: it asks that probabilities be right,
# not only in order.

# %%
NUMBERS = ["age", "release_year", "times_rated", "films_rated"]
reports = {}
for encoding in ENCODINGS:
    model, numbers_split = trained(encoding, NUMBERS)
    reports[encoding] = tfrecs.evaluation.evaluate_rows(
        model, numbers_split.test, train=numbers_split.train
    )
table = pd.DataFrame({name: report.metrics for name, report in reports.items()}).T
rate = reports["piecewise"].baselines["rate"]["LogLoss"]
table.round(4)

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 2.8), sharey=True)
for panel, metric in zip(panels, ("AUC", "LogLoss")):
    ends = np.array([report.intervals[metric] for report in reports.values()])
    panel.errorbar(
        table[metric], range(len(table)), xerr=np.abs(ends.T - table[metric].to_numpy()), fmt="o"
    )
    panel.set_xlabel(metric)
panels[1].axvline(rate, color="0.6", linestyle=":")
panels[1].annotate("the mean for all", (rate, 0), (-4, 0), textcoords="offset points", ha="right")
panels[0].set_yticks(range(len(table)), table.index)
plt.show()

# %% [markdown]
# All of them know more than the mean alone, and bins most. That says something about the two counts: few
# films have been rated exactly as often as another, few people have rated exactly as many, and so a
# count is nearly a name. There is no shape to it. A name wants a vector of its own, and bins are closest
# to that: where a number is a name, use bins, or the id itself.

# %%
for name, counts in (("times_rated", times_rated), ("films_rated", films_rated)):
    alike = counts.map(counts.value_counts())
    of_rows = log.frame["item_id" if name == "times_rated" else "user_id"].map(alike)
    print(f"{name}: half of the rows share their number with {of_rows.median():.0f} or fewer")
    assert of_rows.median() < 5

# %%
assert table["LogLoss"].max() < rate
assert table["LogLoss"].idxmin() == "discretization"
assert table.loc["piecewise", "LogLoss"] < table.loc["standard", "LogLoss"]

# %% [markdown]
# ## Crosses
#
# All vectors side by side are $x_0$. A cross layer is
#
# $$x_{l+1} = x_0 \odot (W_l\, x_l + b_l) + x_l$$
#
# so that one layer has all products of two features, two layers all of three, and so on, each
# weighted by a matrix instead of being made by hand. Beside it a deep network reads the same $x_0$,
# and the log-odds are linear in both: $w\,[x_L, \operatorname{deep}(x_0)] + b$.
#
# With one layer and no deep network, the log-odds are a quadratic form of $x_0$. The block
# $M_{ij}$ that weighs the products of feature $i$ with feature $j$ stands in $\operatorname{diag}(w)\,W$,
# and its norm says how much the model makes of the pair.
#
# ### A cross that was planted
#
# Before reading such a picture, see whether it shows what is there. Here are rows of five features.
# Whether a row is positive depends on `size`, and on `colour` and `shape` *together*: alone neither of
# these two says anything, since half of the shapes of a colour are liked and half are not.

# %%
rng = np.random.default_rng(1)
count = 20_000
planted = pd.DataFrame(
    {
        "colour": rng.integers(0, 6, count),
        "shape": rng.integers(0, 6, count),
        "smell": rng.integers(0, 6, count),
        "size": rng.normal(size=count),
        "weight": rng.normal(size=count),
    }
)
together = (planted["colour"] + planted["shape"]) % 2
odds = 4 * together - 2 + planted["size"]
planted["liked"] = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(int)
planted.groupby("colour")["liked"].mean().round(2)  # a colour alone says nothing

# %%
schema = tfrecs.data.Schema.from_frame(planted, label="liked")
planted_rows = tfrecs.data.Rows.from_frame(planted, schema)
crosses_alone = tfrecs.models.DeepCross(schema, dim=4, cross_layers=1, deep_units=(), seed=1)
crosses_alone.adapt(planted_rows)
crosses_alone.compile(tfrecs.optimizers.Adam(0.01))
crosses_alone.fit(planted_rows.batch(512), epochs=10, verbose=0)
print(tfrecs.evaluation.evaluate_rows(crosses_alone, planted_rows, train=planted_rows))


# %%
def crosses_of(model, columns):
    """Norms of the first cross layer's blocks, [features, features], and the features' names.

    Each coordinate is taken times its size in the data: what has small values has large weights.
    """
    schema = model.encoder.schema
    # The order of a row: categories, then numbers (all of one encoding here), `dim` coordinates each.
    categories = [n for n, c in schema.items() if isinstance(c, tfrecs.data.Categorical)]
    names = categories + [name for name in schema if name not in categories]
    dim, width = model.dim, len(names) * model.dim
    x0 = np.asarray(model.encoder(columns))[:, :width]
    kernel = model.crosses.crosses[0].get_weights()[0][:width, :width]
    if model.cross_layers == 1:  # what the output makes of each coordinate
        kernel = kernel * model.output_layer.get_weights()[0][:width, 0]
    size = np.sqrt((x0**2).mean(axis=0))
    blocks = (kernel * size[:, None] * size).reshape(len(names), dim, len(names), dim)
    # The product of i and j stands in two blocks.
    both = blocks + blocks.transpose(2, 3, 0, 1)
    return np.sqrt((both**2).sum(axis=(1, 3))), names


def draw(panel, norms, names, title):
    panel.imshow(norms, cmap="Blues")
    panel.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.spines[:].set_visible(False)
    panel.set_title(title, fontsize=10)


planted_norms, planted_names = crosses_of(crosses_alone, planted_rows.columns)
figure, panel = plt.subplots(figsize=(4.2, 3.8))
draw(panel, planted_norms, planted_names, "what was planted: colour with shape")
plt.show()

# %% [markdown]
# The darkest block beside the diagonal is the planted pair. `size` is dark with itself: it matters
# alone, and with one cross layer its square is how the model bends it. `smell` and `weight` are pale.

# %%
apart = np.where(np.eye(len(planted_names), dtype=bool), 0, planted_norms)
pair = {planted_names[i] for i in np.unravel_index(apart.argmax(), apart.shape)}
print("strongest cross:", " and ".join(sorted(pair)))
assert pair == {"colour", "shape"}

# %% [markdown]
# ## The whole model
#
# On the films, with ids, categories, genres and numbers, three cross layers and a deep network. Ids
# have few rows each here, so what keeps the model from learning them by heart matters most: dropout,
# and a weight on the squared length of a batch's own embeddings.

# %%
tf.keras.utils.set_random_seed(1)
model = tfrecs.models.DeepCross.from_split(
    split, dim=16, cross_layers=3, deep_units=(128,), dropout=0.5, embedding_regularization=0.01, seed=1
)
model.compile(tfrecs.optimizers.Adam(5e-3))
best = tfrecs.training.BestWeights("val_LogLoss", patience=3, mode="min")
history = model.fit(
    split.train.batch(1024),
    epochs=20,
    validation_data=split.validation,
    callbacks=[best],
    verbose=0,
)
report = tfrecs.evaluation.evaluate_rows(model, split.test, train=split.train, name="liked")
print(report)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3))
epochs = np.arange(1, len(history.epoch) + 1)
left.plot(epochs, history.history["loss"], label="training, with its penalty", color="#1f5fa8")
left.plot(epochs, history.history["val_LogLoss"], label="validation log loss", color="#e39a3b")
left.axvline(best.best_epoch, color="0.6", linestyle=":")
left.set_xlabel("epoch")
left.legend(frameon=False, fontsize=9)
predicted = model.predict(split.test.batch(4096, seed=None), verbose=0)
bins = np.quantile(predicted, np.linspace(0, 1, 11))
place = np.clip(np.searchsorted(bins, predicted, "right") - 1, 0, 9)
happened = [split.test.labels[place == i].mean() for i in range(10)]
said = [predicted[place == i].mean() for i in range(10)]
right.plot([0, 1], [0, 1], color="0.8")
right.plot(said, happened, "o-", color="#1f5fa8")
right.set(xlabel="probability, tenths of the test rows", ylabel="share that was liked")
plt.show()

# %% [markdown]
# `items` is a baseline that is hard to beat by features alone: each film's own share of likes in the
# training rows, smoothed. The model knows the film and who is asking. On the right, whether a
# probability means what it says: dots on the line.

# %%
assert report.intervals["AUC"][0] > report.baselines["items"]["AUC"]
assert report.metrics["LogLoss"] < report.baselines["items"]["LogLoss"]
assert np.abs(np.subtract(said, happened)).mean() < 0.08

# %% [markdown]
# What has it crossed? The norms of the first cross layer's blocks, as the paper draws them. A feature
# crossed with itself is on the diagonal: a bend of what it says alone.

# %%
sample = split.train.take(np.arange(0, len(split.train), 10))
columns = {name: tf.constant(values) for name, values in sample.columns.items()}
for name, lookup in model.lookups.items():
    found = lookup(columns[name])
    columns |= {f"{name.removesuffix('_id')}.{key}": values for key, values in found.items()}

norms, names = crosses_of(model, columns)
figure, panel = plt.subplots(figsize=(6, 5.2))
draw(panel, norms, names, "what the first cross layer makes of each pair")
plt.show()

pairs = pd.Series(
    {f"{names[i]} x {names[j]}": norms[i, j] for i in range(len(names)) for j in range(i)}
)
pairs.sort_values(ascending=False).head(5).round(3)

# %% [markdown]
# ## From here
#
# - In production such a model ranks what a [two-tower model](two_tower.ipynb) found:
#   `tfrecs.models.RetrieveThenRank`.
# - Several labels (click, rating, watch time) are heads of one model: `tasks.MultiTask`.
# - `Numeric(bins="tree")` cuts bins where a decision tree would; `projection_dim` and `num_experts`
#   make the matrices of the crosses small (DCN-Mix).
# - From a terminal: `tfrecs train --model deep-cross --data ml-100k --output runs/clicks`.
