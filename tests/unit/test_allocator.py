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
    assert not allocator.give_back()


_GIVES_BACK = """
import numpy as np
from lrhdr.allocator import give_back, keep_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if not keep_memory():
    print("none")
else:
    held = np.ones(50_000_000, dtype=np.uint8)
    del held
    before = resident()
    give_back()
    print(before - resident())
"""


def test_freed_memory_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _GIVES_BACK], capture_output=True, text=True, check=True)
    if done.stdout.strip() == "none":
        pytest.skip("the C library is not glibc")
    assert int(done.stdout) > 40_000_000
