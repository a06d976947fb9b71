"""Makes sequence_golden.json: scores by the authors' and reference implementations, by PyTorch.

In the environment of benchmarks/peers-requirements.txt, beside clones of the authors' repositories
https://github.com/graytowne/caser_pytorch and https://github.com/hidasib/GRU4Rec_PyTorch_Official:

python tests/models/sequence_golden.py caser_pytorch GRU4Rec_PyTorch_Official
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

ITEMS, DIM = 7, 6
# Whole windows, and one that begins with padding, which only BERT4Rec leaves out.
HISTORIES = [[4, 7, 2, 2, 5], [1, 2, 3, 4, 6], [0, 0, 3, 1, 7]]


def randomised(module):
    """Gives all weights three-digit random values, which are exact in JSON."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_((torch.randn(weight.shape, generator=generator) / 2).round(decimals=3))
    return module.eval()


def case(module, histories, scores):
    """A module's weights, and its scores of all items."""
    weights = {name: weight.tolist() for name, weight in module.named_parameters()}
    return {"weights": weights, "histories": histories, "scores": scores.tolist()}


def bert4rec():
    """RecBole's BERT4Rec: ids 1 to n, n + 1 the mask."""
    from recbole.model.sequential_recommender.bert4rec import BERT4Rec

    config = {
        "USER_ID_FIELD": "user",
        "ITEM_ID_FIELD": "item",
        "LIST_SUFFIX": "_list",
        "ITEM_LIST_LENGTH_FIELD": "length",
        "NEG_PREFIX": "neg_",
        "MAX_ITEM_LIST_LENGTH": len(HISTORIES[0]) + 1,
        "device": "cpu",
        "n_layers": 2,
        "n_heads": 2,
        "hidden_size": DIM,
        "inner_size": 4 * DIM,
        "hidden_dropout_prob": 0.1,
        "attn_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "mask_ratio": 0.2,
        "MASK_ITEM_SEQ": "masked",
        "POS_ITEMS": "positives",
        "NEG_ITEMS": "negatives",
        "MASK_INDEX": "index",
        "loss_type": "CE",
        "initializer_range": 0.02,
    }
    model = randomised(BERT4Rec(config, SimpleNamespace(num=lambda field: ITEMS + 1)))
    sequences = torch.tensor([[*history, ITEMS + 1] for history in HISTORIES])
    states = model(sequences)[:, -1]
    scores = states @ model.item_embedding.weight[: ITEMS + 1].T + model.output_bias
    return case(model, HISTORIES, scores[:, 1:])


def caser():
    """The authors' Caser: ids 1 to n, 0 padding."""
    from caser import Caser

    arguments = SimpleNamespace(L=5, d=DIM, nh=3, nv=2, drop=0.5, ac_conv="relu", ac_fc="relu")
    model = randomised(Caser(4, ITEMS + 1, arguments))
    items = torch.arange(ITEMS + 1)
    histories, users = HISTORIES[:2], [3, 1]
    scores = torch.stack(
        [
            model(torch.tensor([history]), torch.tensor([[user]]), items, for_pred=True)
            for history, user in zip(histories, users, strict=True)
        ]
    )
    return case(model, histories, scores[:, 1:]) | {"users": users}


def gru4rec():
    """The authors' GRU4Rec, whose first layer multiplies one-hot items: ids 0 to n - 1."""
    from gru4rec_pytorch import GRU4RecModel

    model = randomised(GRU4RecModel(ITEMS, [DIM], constrained_embedding=False))
    histories = HISTORIES[:2]
    state, every = torch.zeros(len(histories), DIM), torch.arange(ITEMS)
    for items in torch.tensor(histories).T - 1:
        scores, hidden = None, [state]
        scores = model(items, hidden, every)
        state = hidden[0]
    return case(model, histories, scores)


def main() -> None:
    """Writes the file beside this one."""
    sys.path += sys.argv[1:]
    with torch.no_grad():
        golden = {"BERT4Rec": bert4rec(), "Caser": caser(), "GRU4Rec": gru4rec()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
