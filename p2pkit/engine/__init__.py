"""The cGAN engine: assemble, step, loop, evaluate, checkpoint."""
