"""One update of each player; no file, no clock, no collective call of its own."""
