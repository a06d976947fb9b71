"""Every public model, small, as it is exported.

Raw ids are strings in some and integers, negative ones too, in others.
"""

import tfrecs
from tests.public_models import ITEMS, USERS
from tests.public_models import MODELS as PUBLIC
from tfrecs.data import Histories

__all__ = ["EXCLUSIONS", "ITEMS", "KNOWN", "MODELS", "USERS", "known_items"]
EXCLUSIONS = 6  # that a request of an export may name


# By user id: what users have, in exports of models that read no history.
KNOWN = {1: [1, 4], 3: [2]}


def known_items(model: tfrecs.models.Model) -> Histories | None:
    """What `export` takes for a public model."""
    if not model.needs_known_items:
        return None
    return Histories.from_lists([KNOWN.get(user, []) for user in range(len(model.users) + 1)])


MODELS = {name: entry.served for name, entry in PUBLIC.items()}
