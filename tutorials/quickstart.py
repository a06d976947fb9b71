# %% [markdown]
# # From a log to a served recommender
#
# A log says who met what, and when. This tutorial turns one into a model that says what each
# person will want next, finds out what that model is worth, and puts it into a folder that a
# server can load without this package.
#
# The data are [MovieLens-100K](https://grouplens.org/datasets/movielens/100k/), films that people
# rated in 1997 and 1998. Everything runs on a CPU, in a few minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import tfrecs  # chooses Keras 2, which TensorFlow Recommenders needs

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
tf.keras.utils.set_random_seed(1)

# %% [markdown]
# ## The log
#
# `tfrecs.data.load` takes the name of a data set or a path (CSV, TSV, Parquet, RecBole, ...) and
# gives `Interactions`: a checked log, sorted by time. Rows that cannot be used are dropped, and the
# log says how many there were and why. A log of your own needs two columns, `user_id` and `item_id`,
# and a third, `timestamp`, unless its rows are in time order already. Everything else is a feature.

# %%
log = tfrecs.data.load("ml-100k")
print(log)
log.frame.head()

# %% [markdown]
# Two pictures are worth drawing of every log. On the left, how often each film was rated: a few
# films have most of the ratings. A recommender that gives everybody the same popular films is
# right quite often, so it is what a model has to be compared with. On the right, how much is known
# of each person.

# %%
films = log.frame["item_id"].value_counts().to_numpy()
people = log.frame["user_id"].value_counts().to_numpy()
share = films[: len(films) // 10].sum() / films.sum()

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
left.plot(np.arange(1, len(films) + 1), films, color="#1f5fa8")
left.fill_between(np.arange(1, len(films) // 10 + 1), films[: len(films) // 10], color="#e39a3b")
left.set(xscale="log", yscale="log", xlabel="films, most popular first", ylabel="ratings")
left.set_title(f"the most popular tenth has {share:.0%} of the ratings", fontsize=10)
right.hist(people, bins=np.geomspace(people.min(), people.max(), 40), color="#1f5fa8")
right.set(xscale="log", xlabel="ratings of a person", ylabel="people")
right.set_xticks([20, 50, 100, 200, 500], [20, 50, 100, 200, 500])
right.minorticks_off()
right.set_title(f"half of the people have {int(np.median(people))} ratings or more", fontsize=10)
plt.show()

# %% [markdown]
# ## The split
#
# The model is to say what comes *next*. So the last item of each person is withheld for the test,
# the one before it for validation, and the rest is for training: *leave last out*. Everything is
# chosen on validation; the test is looked at once, at the end.

# %%
split = tfrecs.data.leave_last_out(log)
print(split)

# %% [markdown]
# ## The model
#
# SASRec ([Kang and McAuley, 2018](https://arxiv.org/abs/1808.09781)) is a transformer that reads a
# history $i_1, \dots, i_t$ and predicts the next item at every position of it:
#
# $$x_s = \sqrt{d}\, E_{i_s} + P_s, \qquad
#   h = \operatorname{LayerNorm}(\operatorname{Block}(\dots \operatorname{Block}(x))), \qquad
#   \operatorname{score}(j) = \frac{\cos(h_t, E_j)}{\tau}$$
#
# $E$ holds a vector for each item, $P$ one for each position. A block is causal self-attention and a
# small network; position $s$ sees what came up to $s$ and not what comes after. The paper scores by
# the plain product $\langle h_t, E_j \rangle$ (`similarity="dot"`); a cosine with temperature $\tau$
# cannot grow without bound, which holds overfitting back on a log as small as this one.
#
# The paper trains with one random negative for each positive. Softmax over the *whole* catalogue is
# far better ([Klenitskiy and Vasilev, 2023](https://arxiv.org/abs/2309.07602)) and is the default:
#
# $$\mathcal{L} = -\log \frac{\exp \operatorname{score}(i_{t+1})}{\sum_j \exp \operatorname{score}(j)}$$
#
# A model is a Keras model: `compile`, `fit`, callbacks, checkpoints. Given an `EvaluationSet` as
# `validation_data`, `fit` ranks the whole catalogue after each epoch and reports `val_HR@10`, how
# often the withheld item is among the ten best, and `val_NDCG@10`, which also asks how far up:
#
# $$\operatorname{HR@}k = [r \le k], \qquad \operatorname{NDCG@}k = \frac{[r \le k]}{\log_2(1 + r)}$$
#
# for a withheld item at rank $r$. `BestWeights` stops when validation gets no better, and goes back
# to the best epoch.

# %%
model = tfrecs.models.SASRec(
    split.items, dim=64, num_blocks=2, max_length=50, similarity="cosine", temperature=0.1, seed=1
)
model.compile(tfrecs.optimizers.Adam(1e-3))
best = tfrecs.training.BestWeights(patience=4)
history = model.fit(
    model.examples(split.train).batch(32),
    epochs=24,
    validation_data=split.validation,
    callbacks=[best],
    verbose=2,
)

# %% [markdown]
# The training loss goes on falling after the model has stopped learning anything of use: what
# counts is the curve on the right.

# %%
epochs = np.arange(1, len(history.epoch) + 1)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
left.plot(epochs, history.history["loss"], color="#1f5fa8")
left.set(xlabel="epoch", ylabel="training loss")
right.plot(epochs, history.history["val_NDCG@10"], color="#1f5fa8", label="NDCG@10")
right.plot(epochs, history.history["val_HR@10"], color="#e39a3b", label="HR@10")
right.axvline(best.best_epoch, color="0.6", linestyle=":")
right.annotate("kept", (best.best_epoch, 0), (4, 4), textcoords="offset points", color="0.4")
right.set(xlabel="epoch", ylabel="validation", ylim=(0, None))
right.legend(frameon=False)
plt.show()

# %% [markdown]
# ## What is it worth?
#
# `tfrecs.evaluate` ranks every film that the person has not seen yet, and puts simple recommenders
# beside the model on the very same task: the most popular films for everybody, those of the last
# week, and chance. The last line warns that this split lets the model train on the future;
# [evaluation](evaluation.ipynb) shows what that does, and how to split by time. The
# intervals come from drawing people anew (bootstrap): they say how far the number could be off
# because *these* 943 people were asked. Films of equal score count against the model.

# %%
report = tfrecs.evaluate(model, split.test, ks=(10, 20))
print(report)

# %%
from IPython.display import Image

report.plot("report.png")
Image("report.png", width=760)

# %% [markdown]
# Is that better than popularity, or luck? The interval of the model lies above the baseline as a
# whole. *Popularity bias* says that the model also recommends films that fewer people know, and
# *coverage* that its lists draw on far more of the catalogue.

# %%
popularity = report.baselines["popularity"]
low, high = report.interval("NDCG@10")
print(f"NDCG@10 {report.metrics['NDCG@10']:.4f} [{low:.4f}, {high:.4f}]")
print(f"   {report.metrics['NDCG@10'] / popularity['NDCG@10']:.1f} times that of popularity")

assert low > popularity["NDCG@10"]
assert report.metrics["NDCG@10"] > 1.5 * popularity["NDCG@10"]
assert report.metrics["PopularityBias@10"] < popularity["PopularityBias@10"]
assert report.metrics["Coverage@10"] > 3 * popularity["Coverage@10"]

# %% [markdown]
# ## One person
#
# Numbers hide what a list looks like. Ids inside are 1 to n, 0 is padding; `split.items` knows which
# raw id each of them stands for.

# %%
titles = log.item_features["title"]
best_items = tfrecs.evaluation.Evaluator(split.test).ranks(model, top=10).top_items
person = int(np.flatnonzero((best_items == split.test.targets.values[:, None]).any(axis=1))[0])


def names(ids):
    return titles.loc[split.items.decode(ids)].to_list()


print("saw last:  ", "; ".join(names(split.test.history[person][-8:])))
print("saw next:  ", "; ".join(names(split.test.targets[person])))
pd.DataFrame({"recommended": names(best_items[person])}, index=range(1, 11))

# %% [markdown]
# ## Served
#
# `export` writes a SavedModel: raw ids in, raw ids and scores out, with the vocabulary inside. A
# version is a numbered folder, as TensorFlow Serving wants it, and appears in one step, complete.

# %%
folder = tfrecs.serving.export(model, "exports/sasrec")
folder

# %% [markdown]
# A new Python process asks it, which imports TensorFlow and nothing else: neither tfrecs nor the data
# are there. The history is *Star Wars*, *The Empire Strikes Back* and *Return of the Jedi*; `exclude` has ten
# places for more films that are not to be recommended, and -1 is a place that is not used.

# %%
import subprocess
import sys

program = """
import sys
import tensorflow as tf

served = tf.saved_model.load(sys.argv[1])
answer = served.signatures["serving_default"](
    history=tf.constant([[50, 172, 181]], tf.int64), exclude=tf.constant([[-1] * 10], tf.int64)
)
print(*answer["item_id"].numpy()[0, :5])
assert "tfrecs" not in sys.modules
"""
done = subprocess.run(
    [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True
)
alone = [int(item) for item in done.stdout.split()]
pd.DataFrame({"item": alone, "title": titles.loc[alone].to_list()})

# %% [markdown]
# `tfrecs.serving.Recommender` is the same with the checks that one wants in Python: it compares
# every file with its checksum, fills up what is not given, and tells ids that the model does not know.

# %%
recommender = tfrecs.serving.Recommender("exports/sasrec")
answer = recommender.recommend([50, 172, 181], k=5)
assert [item for item, score in answer] == alone
assert not {50, 172, 181} & set(alone)
assert alone[0] not in dict(recommender.recommend([50, 172, 181], k=5, exclude=alone[:1]))
answer

# %% [markdown]
# ## The same from a terminal
#
# ```
# tfrecs train --model sasrec --data ml-100k --output runs/first
# tfrecs evaluate runs/first
# tfrecs export runs/first --output exports/sasrec
# tfrecs verify exports/sasrec
# tfrecs recommend exports/sasrec --history 50,172,181 --k 10
# ```
#
# A run folder holds checkpoints, settings, metrics and pictures, and a run that was stopped goes on
# where it was. Next: [evaluation](evaluation.ipynb) for numbers that can be trusted,
# [matrix_factorization](matrix_factorization.ipynb) for losses and negatives,
# [two_tower](two_tower.ipynb) for features, [deep_cross](deep_cross.ipynb) for ranking by features,
# [serving](serving.ipynb) for what the folder can do.
