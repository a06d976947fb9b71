"""Models: features in, recommendations out; each a `tfrs.Model`."""

from tfrecs.models.base import Model
from tfrecs.models.sasrec import SASRec

__all__ = ["Model", "SASRec"]
