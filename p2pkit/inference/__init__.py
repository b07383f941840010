"""What a trained generator is for."""
