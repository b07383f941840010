"""placeholder"""
from __future__ import annotations
from pathlib import Path

def tracking_uri() -> str:
    """x."""
    import mlflow

    if mlflow.is_tracking_uri_set():
        return str(mlflow.get_tracking_uri())
    return f"sqlite:///{Path('mlflow.db').absolute()}"
