"""Pretrained word vectors: the files they come in, and which words get which."""

import gzip

import numpy as np
import pytest

from tfrecs.data import Tokenizer, word_vectors

NAN = np.nan
TOKENIZER = Tokenizer(["ete", "story", "absent"])
GLOVE = ". 9 9\nété 1 2\nStory -1e-1 .5\nETE 7 7\n. . 8 8\nother 3\n"


def test_the_formats(tmp_path):
    expected = np.array([[1, 2], [-0.1, 0.5], [NAN, NAN]], np.float32)
    (tmp_path / "glove.txt").write_text(GLOVE, "utf-8")
    (tmp_path / "word2vec.txt").write_text("5 2\n" + GLOVE.replace("2\n", "2 \n"), "utf-8")
    with gzip.open(tmp_path / "glove.txt.gz", "wt", encoding="utf-8") as file:
        file.write(GLOVE)
    mapping = {"été": [1, 2], "Story": np.array([-0.1, 0.5]), "ete": [7, 7], "two words": [3, 3]}
    for source in (*sorted(tmp_path.iterdir()), str(tmp_path / "glove.txt"), mapping):
        vectors = word_vectors(source, TOKENIZER)
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, expected)


def test_bytes_that_are_no_utf8_cost_their_line_only(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"b\xffd 9 9\nstory 1 2\n")
    assert word_vectors(path, TOKENIZER)[1].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"ete": [1.0, 2.0], "story": [1.0]}, "'story' has 1 numbers, others have 2"),
        ({"ete": [1.0, NAN]}, "'ete' must be finite"),
        ({"ete": []}, "'ete' must be finite"),
        ({"ete": "1 x"}, "'ete' is no numbers"),
        ({"boat": [1.0]}, "none of the tokenizer's 3 words is in the mapping"),
    ],
)
def test_bad_vectors_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        word_vectors(source, TOKENIZER)
