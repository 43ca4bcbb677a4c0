"""The command ``pyre``.

- ``commands``: run, dev, routes, doctor, version, and the exit code of each
- ``parsing``: the command line: its flags, and what ``--help`` says of them

Sees all the others.
"""

from pyreframework.cli.commands import main

__all__ = ["main"]
