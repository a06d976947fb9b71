"""Logs of interactions: checked ids, times and vocabularies."""
