"""Images on disk, as tensors, and as pairs for scoring."""
