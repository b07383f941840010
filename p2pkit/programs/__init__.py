"""A trained generator as a program of its own, and what runs it."""
