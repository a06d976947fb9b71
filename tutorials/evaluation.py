# %% [markdown]
# # Evaluating without fooling yourself
#
# A number such as "NDCG@10 .11" depends on the rules by which it was measured as much as on the model.
# This tutorial shows six rules that decide it: when the test lies, what else is ranked, what happens to
# ties, what stands beside the model, which seed it had, and which users happened to be tested.
#
# The data are [MovieLens-100K](https://grouplens.org/datasets/movielens/100k/). Everything runs on a CPU,
# in a few minutes. [quickstart](quickstart.ipynb) comes first: it explains the model and the metrics.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import tfrecs  # chooses Keras 2, which TensorFlow Recommenders needs

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
log = tfrecs.data.load("ml-100k")
print(log)

# %% [markdown]
# ## 1. The test must lie after the training
#
# *Leave last out* withholds each person's last film for the test. It is the protocol of most papers, and
# it has a leak: somebody's last film may be from October, and somebody else's training films from March
# of the next year. The model learns from March what became popular, and is then asked about October.
#
# A *split by time* cuts the whole log at one moment. Nothing after it trains. `targets="last"` asks for
# each person's last film, given everything before it
# ([Gusak et al., 2025](https://arxiv.org/abs/2507.16289)).

# %%
splits = {
    "leave last out": tfrecs.data.leave_last_out(log),
    "by time": tfrecs.data.global_time(log, targets="last"),
}
for name, split in splits.items():
    share = split.test.times.trained_on_future
    print(f"{name}: {share:.0%} of the training is later than a test target, on average")
    print(f"   {split.test.num_users} test users")
    print(f"   {split.counts['test_users_not_in_train']} of them are not in the training part")

assert splits["leave last out"].test.times.trained_on_future > 0.3
assert splits["by time"].test.times.trained_on_future == 0

# %% [markdown]
# The picture shows it: the training rows and the test targets of each split over the calendar.

# %%
moments = pd.to_datetime(log.frame["timestamp"], unit="s")
last = ~log.frame.duplicated("user_id", keep="last")
after = moments >= moments.iloc[int(0.9 * len(moments))]
before = moments < moments.iloc[int(0.8 * len(moments))]
kinds = {"leave last out": (~last, last), "by time": (before, last & after)}

weeks = pd.date_range(moments.min().normalize(), moments.max() + pd.Timedelta("7D"), freq="7D")
figure, panels = plt.subplots(1, 2, figsize=(10, 2.8), sharey=True)
for panel, (name, (trains, tests)) in zip(panels, kinds.items()):
    for rows, colour, label in ((trains, "#1f5fa8", "training"), (tests, "#e39a3b", "test")):
        share = np.full(rows.sum(), 1 / rows.sum())
        panel.hist(moments[rows], weeks, weights=share, color=colour, alpha=0.7, label=label)
    panel.set_title(name, fontsize=10)
    panel.tick_params(axis="x", rotation=30, labelsize=8)
panels[0].set_ylabel("share of its rows, by week")
panels[0].legend(frameon=False)
plt.show()

# %% [markdown]
# Does the leak matter? Two models are trained and tested under both protocols: matrix factorization, which
# knows people by their id, and SASRec, which reads their history.


# %%
def trained(kind, split, seed=1):
    """A model at its best epoch on validation."""
    tf.keras.utils.set_random_seed(seed)
    if kind == "MF":
        model = tfrecs.models.MatrixFactorization.from_split(
            split, dim=32, regularization=0.1, loss=tfrecs.losses.FullSoftmax(), seed=seed
        )
        rate, size, epochs = 5e-3, 1024, 14
    else:
        model = tfrecs.models.SASRec(
            split.items, dim=64, similarity="cosine", temperature=0.1, seed=seed
        )
        rate, size, epochs = 1e-3, 32, 12
    model.compile(tfrecs.optimizers.Adam(rate))
    model.fit(
        model.examples(split.train).batch(size, seed=seed),
        epochs=epochs,
        validation_data=split.validation,
        callbacks=[tfrecs.training.BestWeights(patience=3)],
        verbose=0,
    )
    return model


models = {
    (name, kind): trained(kind, split) for name, split in splits.items() for kind in ("MF", "SASRec")
}
reports = {key: tfrecs.evaluate(model, splits[key[0]].test) for key, model in models.items()}

# %%
columns = {}
for (name, kind), report in reports.items():
    columns.setdefault(name, dict(report.baselines))[kind] = report.metrics
table = pd.DataFrame(
    {name: {who: metrics["NDCG@10"] for who, metrics in c.items()} for name, c in columns.items()}
)
table.sort_values("leave last out", ascending=False).round(4)

# %% [markdown]
# The order changes. Matrix factorization beats popularity where it has seen every test user. By time it
# meets people whom it has not seen and falls behind. The films of the last week are a poor list for
# October and a good one for the day after the cut. SASRec stays ahead: it reads what people did since.
#
# Every report says it in a line. `tfrecs train --split global_time --split_args.targets last` splits by
# time in the terminal. Tested are far fewer people, though: the intervals below are wide.

# %%
print(reports["leave last out", "SASRec"])

# %%
assert "Trained on the future" in str(reports["leave last out", "SASRec"])
assert "Trained on the future" not in str(reports["by time", "SASRec"])
order = {name: table[name].sort_values(ascending=False).index.to_list() for name in table}
assert order["leave last out"] != order["by time"]
assert table.loc["MF", "leave last out"] > 1.3 * table.loc["popularity", "leave last out"]
assert table.loc["MF", "by time"] < table.loc["popularity", "by time"]
assert table.loc["popularity_7_days", "by time"] > table.loc["popularity", "by time"]
assert table["by time"].idxmax() == "SASRec"
assert table.loc["popularity_7_days", "leave last out"] < table.loc["popularity", "leave last out"]

# %% [markdown]
# ## 2. Rank everything
#
# Many papers rank the target among 99 random items instead of the whole catalogue. The number is large and
# says little: the 99 are mostly films that nobody watches, so it is enough to know what is popular.
# [Krichene and Rendle (2020)](https://dl.acm.org/doi/10.1145/3394486.3403226) show that such metrics need
# not even keep the order of models.

# %%
test = splits["leave last out"].test
sampled = test.sample_candidates(99, seed=1)
rows = {}
for kind in ("MF", "SASRec"):
    model = models["leave last out", kind]
    rows[kind] = {
        "whole catalogue": reports["leave last out", kind].metrics["HR@10"],
        "among 99": tfrecs.evaluate(model, sampled, baselines=False).metrics["HR@10"],
    }
rows["popularity"] = {
    "whole catalogue": reports["leave last out", "MF"].baselines["popularity"]["HR@10"],
    "among 99": tfrecs.evaluate(models["leave last out", "MF"], sampled).baselines["popularity"][
        "HR@10"
    ],
}
hits = pd.DataFrame(rows).T
gains = hits.loc["SASRec"] / hits.loc["popularity"]
assert gains["whole catalogue"] > gains["among 99"] > 1
assert (hits["among 99"] > 3 * hits["whole catalogue"]).all()
hits.round(3)

# %% [markdown]
# HR@10 is several times as large, and what SASRec gains over popularity has shrunk.
#
# ## 3. Ties count against the model
#
# What is the rank of a target whose score others have too? A model that gives every item the score 0 knows
# nothing. Where ties count for the target, it is perfect. Ties are no curiosity: scores in 16 bits,
# saturated sigmoids and counts have them.


# %%
class Nothing:
    """Gives every item the same score."""

    items, num_items, max_history, is_product = None, len(log.vocabularies()[1]), None, False

    def score(self, features, items=None):
        shape = (tf.shape(features["user_id"])[0], self.num_items)
        return tf.zeros(shape) if items is None else tf.zeros(tf.shape(items), tf.float32)


honest = tfrecs.evaluate(Nothing(), test)
unseen = len(test.items) - np.array([len(set(history)) for history in test.history])
flattering = np.ones(len(test))  # No unseen item has a higher score than the target.
print(f"ties for the target:     HR@10 {(flattering <= 10).mean():.3f}")
print(f"ties against the target: HR@10 {honest.metrics['HR@10']:.3f}")
print(f"by chance:               HR@10 {(10 / unseen).mean():.3f}")

assert honest.metrics["HR@10"] == 0
assert np.isclose(honest.baselines["random"]["HR@10"], (10 / unseen).mean())

# %% [markdown]
# `tfrecs` counts ties against the target everywhere, in its baselines too.
#
# ## 4. Beat something simple
#
# Each report has simple recommenders on the very same task, computed exactly: `popularity` over all of the
# training, `popularity_7_days` over the last week of it, `random`, and `last_items`, the person's own items
# again. The last one is left out where known items are not recommended, and the report says so. In
# groceries and music it is hard to beat. Here it finds nothing, because nobody rates a film twice:

# %%
again = tfrecs.evaluate(models["leave last out", "SASRec"], test, recommend_known=True)
assert again.baselines["last_items"]["HR@10"] == 0
assert again.repeats.count == 0
assert again.metrics["NDCG@10"] < reports["leave last out", "SASRec"].metrics["NDCG@10"]
pd.DataFrame(again.baselines).loc[["HR@10", "NDCG@10", "Coverage@10"]].round(4)

# %% [markdown]
# SASRec loses by this too: it offers people what they have rated already.
#
# ## 5. Another seed is another model
#
# The first weights and the order of the batches are random. A difference that another seed undoes is
# none. Here are three seeds of each model, by time.

# %%
by_time = splits["by time"]
seeds = {
    kind: [
        reports["by time", kind],
        *(tfrecs.evaluate(trained(kind, by_time, seed), by_time.test) for seed in (2, 3)),
    ]
    for kind in ("MF", "SASRec")
}
values = pd.DataFrame(
    {kind: [run.metrics["NDCG@10"] for run in runs] for kind, runs in seeds.items()},
    index=pd.Index([1, 2, 3], name="seed"),
)
print(values.round(4))
print(f"standard deviation: {values['MF'].std():.4f} and {values['SASRec'].std():.4f}")

# %% [markdown]
# ## 6. Other users are another test
#
# The test users are a sample as well. An interval from a bootstrap over users says how far the number
# might be off for that reason. Two intervals that overlap do not say that two models are alike, though:
# both models met the same users, and some users are hard for both. A *paired* test looks at each user's
# difference.

# %%
figure, panel = plt.subplots(figsize=(8, 2.2))
for place, (kind, runs) in enumerate(seeds.items()):
    for number, run in enumerate(runs):
        low, high = run.interval("NDCG@10")
        height = place + 0.2 * (number - 1)
        panel.plot([low, high], [height, height], color="#1f5fa8")
        panel.plot(run.metrics["NDCG@10"], height, "o", color="#e39a3b", markersize=5)
panel.axvline(table.loc["popularity_7_days", "by time"], color="0.5", linestyle=":")
panel.set_yticks(range(len(seeds)), seeds)
panel.set(xlabel="NDCG@10 of three seeds, 95% intervals over users; dotted: the last week", ylim=(-0.6, 1.6))
plt.show()

comparison = reports["by time", "SASRec"].compare(reports["by time", "MF"])
print(comparison)

# %% [markdown]
# The intervals over users are wider than the spread of the seeds: with 166 test users it is the users who
# limit what can be said. `targets="successive"` asks for every film after the cut in turn. It has many more
# targets of the same people, who are drawn with all of their rows, so the interval stays honest.

# %%
every = tfrecs.data.global_time(log, targets="successive").test
model = models["by time", "SASRec"]
report = tfrecs.evaluate(model, every)
low, high = report.interval("NDCG@10")
rows_alone = 1.96 * report.per_user["NDCG@10"].std() / len(every) ** 0.5
print(f"{every.num_users} users, {len(every)} targets: NDCG@10 {report.metrics['NDCG@10']:.4f}")
print(f"   drawing users: {low:.4f} to {high:.4f}")
print(f"   rows as if they were independent: plus or minus {rows_alone:.4f}")

assert len(every) > 20 * every.num_users
assert (high - low) / 2 > 1.2 * rows_alone
assert comparison["NDCG@10"].difference > 0
assert values["SASRec"].min() > values["MF"].max()

# %% [markdown]
# ## A list to go through
#
# 1. Does anything that trains lie after the test? Read the report's line, or split by time.
# 2. Is the whole catalogue ranked, and are ties counted against the model?
# 3. Does it beat popularity, that of the last week, and the user's last items?
# 4. Were settings and epochs chosen on validation, and was the test looked at once?
# 5. Is the difference larger than that of seeds, and than that of users by a paired test?
#
# `python -m benchmarks.protocols` compares more models under both protocols. Next:
# [matrix_factorization](matrix_factorization.ipynb) for losses and negatives,
# [two_tower](two_tower.ipynb) for people and films that are new.
