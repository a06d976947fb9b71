"""BERT as a sentence encoder, from the files that Hugging Face keeps such a model in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from tfrecs._keras import tf

FILES = ("config.json", "sentence_bert_config.json", "tokenizer.json", "model.safetensors")


class SentenceModel:
    """Sentence-BERT (Reimers and Gurevych, EMNLP 2019): mean of BERT's last states, of length 1.

    Args:
        files: The bytes of `FILES`. The model must be BERT with absolute positions and GELU.

    Raises:
        ImportError: If `tokenizers` or `safetensors` is not installed.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        try:
            import safetensors.numpy
            import tokenizers
        except ImportError as error:
            raise ImportError(
                f"Sentence vectors need the extra `text` ({error}): pip install tfrecs[text]"
            ) from error
        config = json.loads(files["config.json"])
        self.dim: int = config["hidden_size"]
        self._layers: int = config["num_hidden_layers"]
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config["layer_norm_eps"]
        limit = json.loads(files["sentence_bert_config.json"])["max_seq_length"]
        self._tokenizer = tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())
        self._tokenizer.enable_truncation(limit)
        self._tokenizer.no_padding()
        arrays = safetensors.numpy.load(files["model.safetensors"])
        self._weights = {
            name: tf.constant(array) for name, array in arrays.items() if array.dtype == np.float32
        }
        self._graph = tf.function(
            self._encode,
            input_signature=[
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([None], tf.int32),
            ],
        )

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of the word pieces of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def encode(self, pieces: Sequence[Sequence[int]]) -> np.ndarray:
        """Returns the vectors, float32 `[texts, dim]`, of a batch of texts, given their pieces."""
        lengths = np.array([len(row) for row in pieces], np.int32)
        ids = np.zeros((len(pieces), lengths.max()), np.int32)
        for row, values in zip(ids, pieces, strict=True):
            row[: len(values)] = values
        return self._graph(ids, lengths).numpy()

    def _encode(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        valid = tf.sequence_mask(lengths, tf.shape(ids)[1])
        weights = self._weights
        x = tf.gather(weights["embeddings.word_embeddings.weight"], ids)
        x += weights["embeddings.position_embeddings.weight"][: tf.shape(ids)[1]]
        x += weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for index in range(self._layers):
            name = f"encoder.layer.{index}"
            mixed = self._attention(x, valid, f"{name}.attention")
            x = self._norm(x + mixed, f"{name}.attention.output.LayerNorm")
            hidden = tf.nn.gelu(self._dense(x, f"{name}.intermediate.dense"))
            hidden = self._dense(hidden, f"{name}.output.dense")
            x = self._norm(x + hidden, f"{name}.output.LayerNorm")
        kept = tf.cast(valid, tf.float32)[..., tf.newaxis]
        mean = tf.reduce_sum(x * kept, axis=1) / tf.reduce_sum(kept, axis=1)
        return tf.nn.l2_normalize(mean, axis=-1)

    def _attention(self, x: tf.Tensor, valid: tf.Tensor, name: str) -> tf.Tensor:
        shape = tf.shape(x)
        width = self.dim // self._heads

        def heads(part: str) -> tf.Tensor:
            projected = self._dense(x, f"{name}.self.{part}")
            split = tf.reshape(projected, [shape[0], shape[1], self._heads, width])
            return tf.transpose(split, [0, 2, 1, 3])

        scores = tf.matmul(heads("query"), heads("key"), transpose_b=True) * width**-0.5
        scores = tf.where(valid[:, tf.newaxis, tf.newaxis], scores, scores.dtype.min)
        mixed = tf.matmul(tf.nn.softmax(scores), heads("value"))
        joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), shape)
        return self._dense(joined, f"{name}.output.dense")

    def _dense(self, x: tf.Tensor, name: str) -> tf.Tensor:
        # The files hold matrices as [outputs, inputs].
        kernel = tf.transpose(self._weights[f"{name}.weight"])
        return tf.tensordot(x, kernel, 1) + self._weights[f"{name}.bias"]

    def _norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, axes=-1, keepdims=True)
        scale, shift = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return (x - mean) * tf.math.rsqrt(variance + self._epsilon) * scale + shift
