"""``python -m pyreframework``: the same as the command ``pyre``."""

from pyreframework.cli import main

if __name__ == "__main__":
    main()
