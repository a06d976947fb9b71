# %% [markdown]
# # Matrix factorization: losses, negatives, learned similarities
#
# The plainest model of taste gives each user and each item a vector, and scores them by the product.
# It has few weights and trains in seconds, which makes it the right place to find out what matters
# around it: which *loss* is minimised, and which *negatives* an item is compared with.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import tfrecs
from tfrecs import losses, models, negatives

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})

log = tfrecs.data.load("ml-100k")
split = tfrecs.data.leave_last_out(log)
print(split)

# %% [markdown]
# ## The model
#
# $$\operatorname{score}(u, i) = b + b_u + b_i + \langle p_u, q_i \rangle$$
#
# ([Koren et al., 2009](https://doi.org/10.1109/MC.2009.263)). With biases as coordinates it is a
# product of two vectors, $\langle [p_u, 1, b + b_u], [q_i, b_i, 1] \rangle$, so that all items are
# ranked by one product of matrices.
#
# What is it trained to do? We know what people watched, not what they disliked. The default loss takes
# every other film of the catalogue for a negative, softmax over all of them:
#
# $$\mathcal{L} = -\log \frac{e^{s_{ui}}}{\sum_j e^{s_{uj}}}$$
#
# `regularization` weighs half the squared lengths of the two vectors behind each score: it holds
# overfitting back where there are more weights than ratings to learn them from.

# %%
EPOCHS = 15


def trained(model, epochs=EPOCHS, callbacks=()):
    """Trains with the best epoch on validation kept, and says how long an epoch took."""
    tf.keras.utils.set_random_seed(1)
    model.compile(tfrecs.optimizers.Adam(5e-3))
    best = tfrecs.training.BestWeights(patience=3)
    start = time.perf_counter()
    history = model.fit(
        model.examples(split.train).batch(1024),
        epochs=epochs,
        validation_data=split.validation,
        callbacks=[*callbacks, best],
        verbose=0,
    )
    model.seconds = (time.perf_counter() - start) / len(history.epoch)
    return model


def factorization(**arguments):
    return models.MatrixFactorization.from_split(split, dim=32, seed=1, **arguments)


def tested(name, model):
    report = tfrecs.evaluate(model, split.test)
    report.protocol["model"] = name  # in place of the class, which many have here
    return report


softmax = trained(factorization(regularization=0.1))
report = tested("FullSoftmax", softmax)
print(report)

# %%
popularity = report.baselines["popularity"]
assert report.interval("NDCG@10")[0] > popularity["NDCG@10"]

# %% [markdown]
# ## Losses
#
# Where a catalogue is large, all of it at each step is too much. Three ways out:
#
# **Sample**, and compare the positive $i$ with $k$ negatives $j$:
#
# | loss | |
# |---|---|
# | `SampledSoftmax` | $-\log \dfrac{e^{c_i}}{e^{c_i} + \sum_j e^{c_j}}$, with $c = s - \log q$ for draws of probability $q$ |
# | `BinaryCrossEntropy` | $-\log \sigma(s_i) - \sum_j \log (1 - \sigma(s_j))$ |
# | `SquaredError` | $(1 - s_i)^2 + w \sum_j s_j^2$ |
#
# **Order pairs**: the positive should come before the negative, by how much does not matter:
#
# | loss | |
# |---|---|
# | `BPR` | $-\log \sigma(s_i - s_j)$ |
# | `Margin` | $\max(0,\ 1 - s_i + s_j)$ |
# | `WARP` | $\log(\widehat{\text{rank}})\, \max(0,\ 1 - s_i + s_j)$: negatives are tried until one violates the margin; after $N$ trials the rank is about $(n - 1) / N$ |
#
# **Do the sum without the terms.** A squared error over *all* pairs of users and items needs no score
# of most of them ([Chen et al., 2020](https://doi.org/10.1145/3373807)):
#
# $$\sum_j s_{uj}^2 = p_u^\top \Big(\sum_j q_j q_j^\top\Big) p_u$$
#
# a matrix of $d \times d$, computed once a step. That is `WholeDataSquaredError`.
#
# `KnownItems` holds what each user has in training, so that none of it is a negative of this user.

# %%
known = negatives.KnownItems.from_train(split.train, len(split.users))


def uniform(count):
    """Negatives of each positive's own, none of which the user knows."""
    return negatives.Uniform(count, shared=False, seed=1, known=known)


candidates = {
    "SampledSoftmax": (losses.SampledSoftmax(256, seed=1), 0.01),
    "BinaryCrossEntropy": (losses.BinaryCrossEntropy(negatives=uniform(8)), 0.01),
    "SquaredError": (losses.SquaredError(negatives=uniform(8), negative_weight=0.5), 0.01),
    "BPR": (losses.BPR(negatives=uniform(8)), 0.005),
    "Margin": (losses.Margin(negatives=uniform(8)), 0.03),
    "WARP": (losses.WARP(negatives=uniform(32)), 0.1),
    "WholeDataSquaredError": (losses.WholeDataSquaredError(0.05, known=known), 0.03),
}
by_loss = {"FullSoftmax": softmax}
for name, (loss, regularization) in candidates.items():
    by_loss[name] = trained(factorization(loss=loss, regularization=regularization))

reports = {name: tested(name, model) for name, model in by_loss.items()}
SHOWN = ["HR@10", "NDCG@10", "Coverage@10", "PopularityBias@10"]
table = pd.DataFrame({name: report.metrics for name, report in reports.items()}).T[SHOWN]
table["seconds an epoch"] = [round(model.seconds, 2) for model in by_loss.values()]
table.sort_values("NDCG@10", ascending=False).round(4)

# %%


def draw(reports, metric="NDCG@10"):
    """A bar a model, the best on top, with its 95% interval, and a line for popularity."""
    names = sorted(reports, key=lambda name: reports[name].metrics[metric])
    values = [reports[name].metrics[metric] for name in names]
    ends = np.array([reports[name].interval(metric) for name in names])
    figure, panel = plt.subplots(figsize=(8, 0.42 * len(names) + 1))
    panel.barh(names, values, color="#1f5fa8", height=0.6)
    panel.errorbar(values, names, xerr=np.abs(ends.T - values), fmt="none", color="0.2")
    panel.axvline(popularity[metric], color="#e39a3b", label="popularity")
    panel.set_xlabel(f"{metric}, test")
    panel.legend(frameon=False, loc="lower right")
    plt.show()


draw(reports)

# %% [markdown]
# The intervals overlap: they say how the numbers would vary with other people. Two models on the
# *same* people are compared person by person, which tells much smaller differences from chance:

# %%
print(reports["FullSoftmax"].compare(reports["BPR"]))
assert all(report.metrics["NDCG@10"] > popularity["NDCG@10"] for report in reports.values())

# %% [markdown]
# ## Negatives
#
# Which negatives a loss draws decides what the score means. Under negatives of probability $q$ the
# trained score estimates $\log (p(i \mid u) / q_i)$, up to a constant of the user. With uniform
# negatives that is $\log p(i \mid u)$. With negatives by popularity,
#
# $$q_i \propto \text{count}_i^{\alpha},$$
#
# popular films meet themselves as negatives all the time, and are held down, unless the loss corrects
# for it (`logq=True`: $c = s - \log q$).
#
# *Hard* negatives are those that the model takes for positives. `Hardest` draws 64 and keeps the ones
# that score highest at this step
# ([dynamic negative sampling](https://doi.org/10.1145/2484028.2484126)); most of what is drawn uniformly
# teaches a trained model nothing any more. `Mined`, with the callback `HardNegativeMining`, looks at the
# whole catalogue, now and then.

# %%
counts = split.train.item_counts[1:-1]


def popular(count, **arguments):
    return negatives.Popularity(count, counts, alpha=1.0, smoothing=1.0, seed=1, **arguments)


mined = negatives.Mined(
    8, len(split.users), len(split.items), num_mined=50, num_easy=6, seed=1, known=known
)
mining = negatives.HardNegativeMining(mined, split.train, every=2, skip=10)
own = {"shared": False, "known": known}
setups = {
    "softmax, by popularity": losses.SampledSoftmax(logq=False, negatives=popular(256)),
    "softmax, by popularity, logQ": losses.SampledSoftmax(negatives=popular(256)),
    "BPR, by popularity": losses.BPR(negatives=popular(8, **own)),
    "BPR, uniform and by popularity": losses.BPR(
        negatives=negatives.Mixed([uniform(6), popular(2, **own)])
    ),
    "BPR, hardest 2 of 64, 6 easy": losses.BPR(
        negatives=negatives.Hardest(8, uniform(64), num_easy=6)
    ),
    "BPR, mined": losses.BPR(negatives=mined),
}
by_negatives = {"softmax, uniform": reports["SampledSoftmax"], "BPR, uniform": reports["BPR"]}
for name, loss in setups.items():
    model = factorization(loss=loss, regularization=0.01 if "softmax" in name else 0.005)
    model = trained(model, callbacks=[mining] if "mined" in name else [])
    by_negatives[name] = tested(name, model)

table = pd.DataFrame({name: report.metrics for name, report in by_negatives.items()}).T[SHOWN]
table.round(4)

# %% [markdown]
# A model has two sides: how often it is right (up), and how popular what it recommends is (to the
# right; 1 is the average film).

# %%
figure, panel = plt.subplots(figsize=(9, 4.5))
for name, report in by_negatives.items():
    marker = "o" if "BPR" in name else "s"
    place = report.metrics["PopularityBias@10"], report.metrics["NDCG@10"]
    panel.scatter(*place, s=60, marker=marker, label=name)
panel.scatter(
    popularity["PopularityBias@10"], popularity["NDCG@10"], s=60, color="0.3", marker="*", label="popularity"
)
panel.set(xlabel="popularity bias of the ten best", ylabel="NDCG@10, test", ylim=(0, None))
panel.legend(frameon=False, fontsize=9, loc="lower right")
plt.show()

# %% [markdown]
# Negatives by popularity, not corrected, take a softmax far to the left: nobody is recommended what
# everybody likes, also those who would like it. The correction brings it back. And a few hard negatives
# among easy ones make the plain BPR of above one of the best models here.

# %%
bias = table["PopularityBias@10"]
assert bias["BPR, by popularity"] < bias["BPR, uniform"]
assert bias["softmax, by popularity"] < bias["softmax, uniform"]
# The correction gives the popular films back.
assert bias["softmax, by popularity, logQ"] > 1.5 * bias["softmax, by popularity"]
ndcg = table["NDCG@10"]
assert ndcg["softmax, by popularity, logQ"] > 1.5 * ndcg["softmax, by popularity"]
assert ndcg["BPR, hardest 2 of 64, 6 easy"] > 1.05 * ndcg["BPR, uniform"]

# %% [markdown]
# ## Learned similarities
#
# Is a product too simple? *Neural collaborative filtering*
# ([He et al., 2017](https://arxiv.org/abs/1708.05031)) learns the function of the two vectors:
#
# | model | score |
# |---|---|
# | `GeneralizedMF` | $h \cdot (p_u \odot q_i) + b$ |
# | `MLP` | $h \cdot \operatorname{ReLU}(W_3 \operatorname{ReLU}(W_2 \operatorname{ReLU}(W_1 [p_u, q_i])))+ b$ |
# | `NeuralMF` | both side by side, each with vectors of its own |
#
# A product of vectors is hard to learn for a perceptron, and easy to search. With equal care a plain
# product is at least as good ([Rendle et al., 2020](https://arxiv.org/abs/2005.09683)). Here all have
# the paper's loss, binary cross-entropy, and equally many numbers a user.

# %%
similarities = {
    "GeneralizedMF": models.GeneralizedMF.from_split(
        split,
        dim=32,
        loss=losses.BinaryCrossEntropy(negatives=uniform(8)),
        regularization=0.01,
        seed=1,
    ),
    "MLP": models.MLP.from_split(
        split, dim=32, loss=losses.BinaryCrossEntropy(negatives=uniform(8)), seed=1
    ),
    "NeuralMF": models.NeuralMF.from_split(
        split, dim=16, loss=losses.BinaryCrossEntropy(negatives=uniform(8)), seed=1
    ),
}
by_similarity = {"MatrixFactorization": reports["BinaryCrossEntropy"]}
for name, model in similarities.items():
    by_similarity[name] = tested(name, trained(model))
pd.DataFrame({name: report.metrics for name, report in by_similarity.items()}).T[SHOWN].round(4)

# %%
draw(by_similarity)
ndcg = {name: report.metrics["NDCG@10"] for name, report in by_similarity.items()}
assert min(ndcg.values()) > popularity["NDCG@10"]
assert ndcg["MatrixFactorization"] > ndcg["MLP"]

# %% [markdown]
# ## From here
#
# - On the published split of MovieLens-1M: the recipes `mf-ml-1m-ncf`, `gmf-ml-1m-ncf`, `mlp-ml-1m-ncf` and
#   `neumf-ml-1m-ncf`; `benchmarks/RESULTS.md` has their numbers beside published ones.
# - `NeuralMF.from_pretrained(gmf, mlp)` starts from the two trained parts, as the paper does.
# - Losses and negatives are layers, and work in every model: `SASRec(loss=losses.GBCE())`. With features
#   and the negatives of the batch: [two_tower](two_tower.ipynb).
# - From a terminal: `tfrecs train --model matrix-factorization --model.loss bpr --data ml-100k --output
#   runs/mf`.
