"""The only room that knows a file's name in a run's folder; no network's logic."""
