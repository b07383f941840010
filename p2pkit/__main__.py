"""`python -m p2pkit`, as torchrun starts it."""

from p2pkit.cli import main

if __name__ == "__main__":
    main()
