"""Page faults of arrays that are made and freed time and again."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import torch
from pdeops.memory import keep_freed

k = torch.rand(16, 129, 129, dtype=torch.float64)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        (k + 1) * (k + 2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if "keep" in sys.argv:
    keep_freed()
faults()
print(faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc alone")
def test_freed_memory_is_not_cleared_again():
    def faults(*words):
        done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep") < faults() / 5
