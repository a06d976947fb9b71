"""Batches for training: another order each epoch, and the same again after a resume."""
