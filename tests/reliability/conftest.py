"""The tests' own helpers (`samples`, `dng`) are beside this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
