"""Puts this folder on the path, so that its tests can share the scorers' oracle."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
