"""Writes exports: signatures, what they know, and the answers that they must give."""
