"""What a parameter's type may be marked with, for the engine to know what it is for."""

from __future__ import annotations


class StartsFrom:
    """Marks a parameter that says what a network begins with, and means nothing once there is a checkpoint."""
