# %% [markdown]
# # Two towers: features, histories, texts
#
# A model of ids alone knows nothing of an item before somebody has met it. A two-tower model makes
# the vector of an item from everything that is known of it, and the vector of a user likewise:
#
# $$\operatorname{score}(u, i) = \frac{\cos(f(u), g(i))}{\tau}, \qquad
#   g(i) = W_2 \operatorname{ReLU}(W_1 [e_i, \text{features of } i] + b_1) + b_2$$
#
# As the score is a product of two vectors, those of all items are computed once, and what is best for
# a user is found by a search among them. This tutorial adds features, histories and texts, meets
# films that nobody has rated yet, and shows what the logQ correction corrects.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import tfrecs

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})

log = tfrecs.data.load("ml-100k")
split = tfrecs.data.leave_last_out(log)

# %% [markdown]
# ## Features
#
# `split.user_features` and `split.item_features` are tables, a row an id, encoded as their `Schema`
# says. It was read from the data: strings of several words are `Text`, lists are `Categorical` with
# several values a row, numbers of many values are `Numeric` (piecewise linear, see
# [deep_cross](deep_cross.ipynb)).

# %%
print("users:", split.user_features.schema)
print("items:", split.item_features.schema)
log.item_features.head(3)

# %% [markdown]
# What was read can be said otherwise. Titles are short: eight words of one are enough. (`Tokenizer` cuts
# a text into words; the vector of a title is the mean of its words' vectors.)

# %%


def film_features(split, **changes):
    """The table of films, with short titles and other changes of its columns."""
    schema = split.item_features.schema
    title = tfrecs.data.Text(schema["title"].tokenizer, max_tokens=8)
    schema = schema.with_columns(**{"title": title, **changes})
    return tfrecs.data.FeatureTable.from_frame(split.item_frame, split.items, schema)


films = film_features(split)
print(films.schema["title"].encode(pd.Series(["Toy Story", "The Story of Nobody"])))
films.schema["title"].tokenizer.words[:12]

# %% [markdown]
# Tables are weights that do not train: training input is ids alone, and an export knows the features.
#
# ## Ids, features, histories
#
# What does each source of knowledge bring? Three models, alike in everything else: ids alone; ids and
# features; and both with the *history*, the films that the person saw before. A history enters as a
# pool of the item tower's own vectors $g(i)$. With `pooling="recency"` recent films count more,
# with weights that are learned.

# %%


def trained(split, epochs=8, batch_size=1024, **arguments):
    tf.keras.utils.set_random_seed(1)
    model = tfrecs.models.TwoTower.from_split(split, dim=32, seed=1, **arguments)
    model.compile(tfrecs.optimizers.LazyAdam(2e-3))
    best = tfrecs.training.BestWeights(patience=3)
    model.fit(
        model.examples(split.train).batch(batch_size),
        epochs=epochs,
        validation_data=split.validation,
        callbacks=[best],
        verbose=0,
    )
    return model


reports = {
    name: tfrecs.evaluate(trained(split, **arguments), split.test)
    for name, arguments in {
        "ids": {"user_features": None, "item_features": None, "pooling": None},
        "ids, features": {"item_features": films, "pooling": None},
        "ids, features, history": {"item_features": films, "pooling": "recency"},
    }.items()
}
popularity = reports["ids"].baselines["popularity"]
table = pd.DataFrame({name: report.metrics for name, report in reports.items()}).T
table.loc["popularity"] = popularity
table[["HR@10", "NDCG@10", "Coverage@10", "PopularityBias@10"]].round(4)

# %%


def draw(reports, popularity, metric="NDCG@10"):
    """A bar a model, with its 95% interval, and a line for popularity."""
    values = [report.metrics[metric] for report in reports.values()]
    ends = np.array([report.interval(metric) for report in reports.values()])
    figure, panel = plt.subplots(figsize=(8, 0.5 * len(reports) + 1))
    panel.barh(range(len(reports)), values, color="#1f5fa8", height=0.6)
    panel.errorbar(values, range(len(reports)), xerr=np.abs(ends.T - values), fmt="none", color="0.2")
    panel.axvline(popularity[metric], color="#e39a3b", label="popularity")
    panel.set_yticks(range(len(reports)), reports)
    panel.invert_yaxis()
    panel.set_xlabel(f"{metric}, test")
    panel.legend(frameon=False)
    plt.show()


draw(reports, popularity)

# %% [markdown]
# Features help, even where every film has been rated: what films have in common need not be learned
# film by film. What somebody saw lately helps far more.

# %%
ndcg = table["NDCG@10"]
assert ndcg["ids, features, history"] > 1.4 * ndcg["ids, features"]
assert ndcg["ids, features"] > ndcg["ids"]
assert ndcg["ids, features"] > popularity["NDCG@10"]

# %% [markdown]
# ## Films that nobody has rated
#
# Now 150 films are taken out of the log, as if they were to come out next week. A model learns from the
# others. `id_dropout` has taken, now and then, a film's id for an unknown one, so that the towers
# know how to do with features alone. With the number after the last known id, `n + 1`, and encoded
# features in place of the ones the model has, `item_vectors` gives vectors to the new films.
#
# Is there anything in a title, beside genres and year? One model reads it and one does not.

# %%
rated = log.frame["item_id"].value_counts()
candidates = rated[rated >= 30].index.sort_values()
new = np.random.default_rng(3).choice(candidates, 150, replace=False)
before = tfrecs.data.leave_last_out(log.take(~log.frame["item_id"].isin(new).to_numpy()))

models = {
    "genres, year, title": trained(before, id_dropout=0.3, item_features=film_features(before)),
    "genres, year": trained(
        before, id_dropout=0.3, item_features=film_features(before, title=None)
    ),
}

# %% [markdown]
# Who rated a new film, in the data that the model has not seen? For each film, the *AUC* is how often
# somebody who did has a higher score for it than somebody who did not: one half is chance.

# %%
users = {
    "user_id": tf.constant(before.test.user_ids),
    "history": tf.constant(before.test.history.padded(np.arange(len(before.test)), 50)),
}
seen = log.frame[log.frame["item_id"].isin(new)]
watched = pd.crosstab(seen["user_id"], seen["item_id"]) > 0
watched = watched.reindex(
    before.users.decode(before.test.user_ids), columns=new, fill_value=False
).to_numpy()


def new_vectors(model, ids):
    schema = model.item_tower.lookup.schema
    features = schema.encode(log.item_features.loc[ids])
    return model.item_vectors(tf.fill([len(ids)], model.num_items + 1), features=features)


aucs = {}
for name, model in models.items():
    scores = np.asarray(tf.matmul(model.query_vectors(users), new_vectors(model, new), transpose_b=True))
    aucs[name] = np.array(
        [tfrecs.evaluation.auc(watched[:, i], scores[:, i]) for i in range(len(new))]
    )

figure, panel = plt.subplots(figsize=(8, 3))
for name, values in aucs.items():
    panel.hist(
        values, bins=np.linspace(0.2, 1, 33), histtype="step", lw=2, label=f"{name}: {values.mean():.3f}"
    )
panel.axvline(0.5, color="0.6", linestyle=":")
panel.set(xlabel="AUC of a film that the model never saw (mean in the legend)", ylabel="films")
panel.legend(frameon=False)
plt.show()

# %% [markdown]
# Features know something of films that nobody has rated, and titles add to it.

# %%
means = {name: values.mean() for name, values in aucs.items()}
assert means["genres, year"] > 0.53
assert means["genres, year, title"] > means["genres, year"]

# %% [markdown]
# Films near a new one, by the cosine of their vectors:

# %%
model = models["genres, year, title"]
known = np.asarray(model.item_vectors())
known = known / np.linalg.norm(known, axis=1, keepdims=True)
titles = log.item_features["title"]
examples = [item for item in new if titles[item].startswith(("Star Trek", "Batman", "Alien"))]
examples = (examples + list(new))[:3]
neighbours = {}
for item, vector in zip(examples, np.asarray(new_vectors(model, examples))):
    best = np.argsort(-known @ vector)[:5] + 1
    neighbours[titles[item]] = titles.loc[before.items.decode(best)].to_list()
pd.DataFrame(neighbours)

# %% [markdown]
# Vectors of whole sentences, by a pretrained encoder, are a column of kind `Vector`:
# `tfrecs.data.sentence_vectors` (extra `text`). Pretrained word vectors go into the text column by
# `load_word_vectors`.
#
# ## The logQ correction
#
# With millions of items the softmax over all of them is too much, and the cheap negatives are those of
# the batch: each user's own item against the items of the others. But an item is in a batch as often
# as it is popular, so popular items are negatives far more often than rare ones, and are held down.
# Minimised over many batches, the plain softmax over the batch makes the score estimate
#
# $$\operatorname{score}(u, i) \approx \log \frac{p(i \mid u)}{q_i} + \text{const},$$
#
# with $q_i$ the share of the log that $i$ has. The correction
# ([Yi et al., 2019](https://research.google/pubs/sampling-bias-corrected-neural-modeling-for-large-corpus-item-recommendations/))
# subtracts $\log q_i$ from each logit *in training*, and the score itself estimates $\log p(i \mid u)$:
#
# $$\mathcal{L} = -\log \frac{e^{s_i - \log q_i}}{\sum_{j \in \text{batch}} e^{s_j - \log q_j}}$$
#
# The share is counted (`ItemFrequency`), or, where the data are a stream, estimated on the way from
# the time between two sightings of an item (`StreamingFrequency`).

# %%
counts = split.train.item_counts[1:-1]
streaming = tfrecs.negatives.StreamingFrequency(2 * len(split.items))
frequencies = {
    "not corrected": None,
    "corrected, counted": tfrecs.negatives.ItemFrequency(counts),
    "corrected, estimated": streaming,
}
in_batch = {
    name: trained(
        split,
        item_features=films,
        loss=tfrecs.losses.SampledSoftmax(negatives=tfrecs.negatives.InBatch(frequency=frequency)),
    )
    for name, frequency in frequencies.items()
}

# %% [markdown]
# Does the correction do what the equation says? The mean over people of the probability that the model
# gives a film, $\operatorname{softmax}(\operatorname{score})_i$, should be the share that the film has
# of the log. On the left, what `StreamingFrequency` has estimated by the way; on the right, the films in
# twenty groups of rising popularity.

# %%
sample = next(iter(split.train.pairs(50).batch(4096, seed=5)))
share = counts / counts.sum()
estimated = np.exp(np.asarray(streaming(tf.range(1, len(counts) + 1))))
given = {
    name: np.asarray(tf.nn.softmax(model.score(sample)).numpy().mean(axis=0))
    for name, model in in_batch.items()
}
order = np.argsort(counts)
groups = [group for group in np.array_split(order[counts[order] > 0], 20)]

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
for panel in (left, right):
    panel.plot([1e-5, 1e-2], [1e-5, 1e-2], color="0.8")
    panel.set(xscale="log", yscale="log", xlabel="share of the log")
left.scatter(share[counts > 0], estimated[counts > 0], s=4, color="#1f5fa8")
left.set(ylabel="estimated share")
for name, probability in given.items():
    right.plot(
        [share[g].mean() for g in groups], [probability[g].mean() for g in groups], "o-", label=name
    )
right.set(ylabel="probability that the model gives")
right.legend(frameon=False, fontsize=9)
plt.tight_layout()
plt.show()

# %%


def slope(probability):
    """Of log probability over log share: 1 where the model gives films their share."""
    x, y = (np.log([v[g].mean() for g in groups]) for v in (share, probability))
    return np.polyfit(x, y, 1)[0]


slopes = {name: slope(probability) for name, probability in given.items()}
reports = {name: tfrecs.evaluate(model, split.test) for name, model in in_batch.items()}
table = pd.DataFrame({name: report.metrics for name, report in reports.items()}).T
table = table[["HR@10", "NDCG@10", "Coverage@10", "PopularityBias@10"]]
table.insert(0, "slope", slopes)
# How popular the films are that people went on to see, on the same scale.
seen_next = counts[split.test.targets.values - 1].mean() / counts.mean()
print(f"what people saw next: popularity bias {seen_next:.2f}")
table.round(4)

# %% [markdown]
# Uncorrected, the model recommends what is *typical of a person* and rare elsewhere, and its lists are
# less popular than what people go on to see. That is sometimes wanted (then say so, with
# `losses.FullSoftmax(popularity=...)`), but should be a choice and not an accident of the batch.

# %%
bias = table["PopularityBias@10"]
assert slopes["not corrected"] < 0.5 < 0.8 < slopes["corrected, counted"]
assert bias["not corrected"] < seen_next
assert bias["not corrected"] < bias["corrected, counted"]
assert table.loc["corrected, counted", "NDCG@10"] > table.loc["not corrected", "NDCG@10"]
assert np.corrcoef(np.log(share[counts > 20]), np.log(estimated[counts > 20]))[0, 1] > 0.8

# %%
draw(reports, popularity)

# %% [markdown]
# ## From here
#
# - Negatives of the batch and uniform ones together (`Mixed([InBatch(...), Uniform(1024)])`) are the
#   default above 20,000 items; hard ones are in [matrix_factorization](matrix_factorization.ipynb).
# - `tasks.Retrieval` stands in for `tfrs.tasks.Retrieval` in a model of your own: same call.
# - An export of this model has the signatures `query_vectors` and `item_vectors`, which take the raw
#   features of new users and items: see [serving](serving.ipynb).
