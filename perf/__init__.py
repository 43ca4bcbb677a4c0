"""Measuring Pyre: load, memory, instructions and profiles. Start with ``README.md``."""
