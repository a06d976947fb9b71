"""A SavedModel whose answers can be told by hand, with all that an export's signatures have."""

from pathlib import Path

import numpy as np

from tfrecs._keras import tf

ITEMS = 10
K = 5
WIDTH = 3  # of the exclusions
WIDE = 1_100_000  # numbers of a float32 row that is more than gRPC's 4 MB
LOWEST = float(np.finfo(np.float32).min)


class ByHand(tf.Module):
    """Item i, 0 to 9, scores `step` times i for everybody, and 100 more for the user "fan".

    Args:
        step: Tells versions apart.
        text: Whether the ids of items are strings.
    """

    def __init__(self, step: float, text: bool) -> None:
        super().__init__(name="by_hand")
        self.step, self.text = tf.Variable(step), text

    def signatures(self) -> dict:
        """Concrete functions by name."""
        item = tf.string if self.text else tf.int64
        several = tf.TensorSpec([None, None], item)
        user = tf.TensorSpec([None], tf.string)
        number = tf.TensorSpec([None], tf.int64)

        def function(method, **inputs):
            specs = [tf.TensorSpec(s.shape, s.dtype, name) for name, s in inputs.items()]
            return tf.function(method).get_concrete_function(*specs)

        exclude = tf.TensorSpec([None, WIDTH], item)
        return {
            "serving_default": function(
                self.recommend, history=several, user_id=user, exclude=exclude
            ),
            "score": function(self.score, history=several, user_id=user, candidates=several),
            "odd": function(self.odd, number=number),
            "wide": function(self.wide, number=number),
        }

    def recommend(self, history, user_id, exclude):
        seen = self._numbers(tf.concat([history, exclude], 1))
        ids = tf.range(ITEMS, dtype=tf.int64)
        hit = tf.reduce_any(seen[:, :, tf.newaxis] == ids, axis=1)
        scores = self._score(tf.broadcast_to(ids, tf.shape(hit)), user_id)
        best, found = tf.math.top_k(tf.where(hit, LOWEST, scores), K)
        items = tf.gather(ids, found)
        there = best > LOWEST
        if self.text:
            return {"item_id": tf.where(there, tf.strings.as_string(items), ""), "score": best}
        return {"item_id": tf.where(there, items, -1), "score": best}

    def score(self, history, user_id, candidates):
        ids = self._numbers(candidates)
        known = (ids >= 0) & (ids < ITEMS) & (tf.shape(history)[0] > 0)
        return {"score": tf.where(known, self._score(ids, user_id), LOWEST)}

    def odd(self, number):
        """What JSON has no words for."""
        number = tf.ensure_shape(number, [None])  # a session feeds any shape
        batch = tf.shape(number)
        return {
            "beyond": tf.tile([[np.nan, np.inf, -np.inf]], [batch[0], 1]),
            "raw_bytes": tf.fill(batch, tf.constant(b"\xff\x00")),
            "text": tf.fill(batch, tf.constant("Ünïcode \"'\n")),
            "same": number,
            "tenth": tf.cast(number, tf.float32) / 10,
        }

    def wide(self, number):
        return {"row": tf.zeros([tf.shape(number)[0], WIDE]) + self.step}

    def _score(self, ids, user_id):
        more = tf.where(user_id == "fan", 100.0, 0.0)
        return tf.cast(ids, tf.float32) * self.step + more[:, tf.newaxis]

    def _numbers(self, items):
        if not self.text:
            return items
        known = tf.strings.regex_full_match(items, "[0-9]")
        return tf.strings.to_number(tf.where(known, items, "-1"), tf.int64)


def save(base: Path, version: int, step: float = 1.0, text: bool = False) -> Path:
    """Writes a version beside the base and gives it its name in one step, as `export` does."""
    model = ByHand(step, text)
    folder = base / f".tmp-{version}-1"
    tf.saved_model.save(model, str(folder), signatures=model.signatures())
    return folder.rename(base / str(version))
