"""`keep_memory` makes glibc hand freed blocks out again, and changes nothing on other systems."""

import subprocess
import sys

import pytest

_FAULTS = """
import sys
import resource
import numpy as np
from lrhdr.allocator import keep_memory
changed = keep_memory() if sys.argv[1] == "keep" else True
def fill():
    np.empty(50_000_000, dtype=np.uint8).fill(1)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    fill()
print(changed, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is on Linux")
def test_freed_blocks_come_back_without_page_faults() -> None:
    faults = {}
    for mode in ("plain", "keep"):
        done = subprocess.run([sys.executable, "-c", _FAULTS, mode], capture_output=True, text=True, check=True)
        changed, count = done.stdout.split()
        if changed == "False":
            pytest.skip("the C library is not glibc")
        faults[mode] = int(count)
    assert faults["keep"] < 0.1 * faults["plain"]


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from lrhdr import allocator

    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert not allocator.keep_memory()
