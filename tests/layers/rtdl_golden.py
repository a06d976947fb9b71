"""Makes rtdl_golden.json: bins and encodings of rtdl_num_embeddings, which needs PyTorch.

pip install torch scikit-learn rtdl_num_embeddings==0.0.12 && python tests/layers/rtdl_golden.py
"""

import json
from pathlib import Path

import numpy as np
import rtdl_num_embeddings
import torch


def main() -> None:
    """Writes the file beside this one."""
    rng = np.random.default_rng(0)
    data = np.stack(
        [
            rng.normal(size=80),
            np.exp(rng.normal(size=80)),
            rng.integers(0, 3, size=80),  # fewer values than bins
            rng.integers(0, 2, size=80),  # one bin
        ],
        axis=1,
    ).round(3)
    targets = {
        "number": (data[:, 0] ** 2 + data[:, 1] + rng.normal(size=80) / 10).round(3),
        "label": (data[:, 0] + data[:, 2] > 1).astype(int),
    }
    probes = np.concatenate([data[:6], [[-9.0, -9, -9, -9], [9.0, 9, 9, 9]]])
    columns = torch.tensor(data, dtype=torch.float32)
    cases = []
    for name, num_bins, target, tree_args in (
        ("quantile 2", 2, None, None),
        ("quantile 8", 8, None, None),
        ("tree of a number", 6, "number", {"min_samples_leaf": 4}),
        ("tree of a label", 6, "label", {"min_samples_leaf": 4}),
    ):
        arguments = {}
        if target is not None:
            arguments = {
                "tree_kwargs": tree_args,
                "y": torch.tensor(targets[target], dtype=None),
                "regression": target == "number",
            }
        bins = rtdl_num_embeddings.compute_bins(columns, num_bins, **arguments)
        encoding = rtdl_num_embeddings.PiecewiseLinearEncoding(bins)
        encoded = encoding(torch.tensor(probes, dtype=torch.float32))
        cases.append(
            {
                "name": name,
                "num_bins": num_bins,
                "target": target,
                "tree_args": tree_args,
                "bins": [edges.tolist() for edges in bins],
                "encoded": encoded.tolist(),
            }
        )
    golden = {
        "data": data.tolist(),
        "targets": {key: value.tolist() for key, value in targets.items()},
        "probes": probes.tolist(),
        "cases": cases,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
