"""`python -m lrhdr` is the command `lrhdr`."""

from lrhdr.cli import entry

if __name__ == "__main__":
    entry()
