"""What stands beside the images of a pair: drawn, read, and given to networks by name."""
