"""Makes `serving` importable and opens enough descriptors for floods."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from serving import allow_many_descriptors

allow_many_descriptors()
