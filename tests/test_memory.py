"""What becomes of memory that is freed."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import torch
from pdeops.memory import keep_freed

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if "keep" in sys.argv:
    keep_freed()
before = resident()
field = torch.ones(3 * 2**20, dtype=torch.float64)  # 24 MiB
del field
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc alone")
def test_freed_memory_is_kept():
    def left(*words):
        done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert left("keep") > 20 * 2**20
    assert left() < 5 * 2**20
