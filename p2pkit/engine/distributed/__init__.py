"""Ranks, collectives and signals; nothing of a run."""
