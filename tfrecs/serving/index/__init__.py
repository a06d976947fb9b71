"""Finds the best items for a query vector: exactly, in blocks, or by ScaNN."""
