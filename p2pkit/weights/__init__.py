"""Weights from files, and the published networks that they fill."""
