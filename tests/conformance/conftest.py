"""Makes `serving` and `rules` importable and opens enough descriptors for floods."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

from serving import allow_many_descriptors  # noqa: E402

allow_many_descriptors()
