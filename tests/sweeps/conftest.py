"""Points that are cheap: a script that does what its seed says, in a process of its own."""

import pytest

from pdeops.sweeps.point import Point

SCRIPT = """
import json, os, signal, sys, time
from pathlib import Path
words = dict(text.split("=", 1) for text in sys.argv[1:])
folder, seed, here = Path(words["hydra.run.dir"].strip("'")), words.get("seed", "0"), Path(__file__).parent
begin = time.time()
if not (here / "mended").exists():
    if seed == "1":
        raise ArithmeticError("the loss is not a number")
    if seed == "2":
        os.kill(os.getpid(), signal.SIGKILL)
if seed == "9":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    (folder / "asleep").touch()
    time.sleep(60)
time.sleep(0.3)
seen = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")]
(here / f"seen_by_{seed}").write_text(json.dumps([*seen, begin, time.time()]))
"""


@pytest.fixture
def script(tmp_path):
    """Seed 1 crashes and seed 2 is killed as long as there is no file `mended`; seed 9 sleeps."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def points(script, tmp_path):
    """`points(0, 1, devices=2)`: points of those seeds."""

    def make(*seeds, **sizes):
        return [
            Point(i, str(script), (f"seed={s}",), f"seed={s}", tmp_path / "sweep" / str(i), **sizes)
            for i, s in enumerate(seeds)
        ]

    return make
