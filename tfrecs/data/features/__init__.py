"""Columns, schemas and texts: features as numbers and ids that layers read."""
