"""Plugins: found, isolated, registered, and told of what happens to a run."""
