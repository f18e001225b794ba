"""The commands as real processes, in an environment of their own, and an S3 server to point at."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from command_fixtures import (  # noqa: E402, F401 - fixtures
    bucket,
    environment,
    s3_environment,
    start,
    tinysql,
)
