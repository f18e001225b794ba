"""Puts this folder on the path, so that its tests can share hand-written rows."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
