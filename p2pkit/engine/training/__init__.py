"""The loop, and what happens between its steps."""
