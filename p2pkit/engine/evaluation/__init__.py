"""Scores and shows a network; trains nothing."""
