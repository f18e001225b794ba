"""Puts this folder on the path, so that the measurements can share modules."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
