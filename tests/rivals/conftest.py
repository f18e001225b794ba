"""Puts the tests' folder on the path, so that the rivals can be imported as `rivals.<name>`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
