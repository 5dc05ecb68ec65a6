"""`python train.py model=fno data=ns2d`: train and test a surrogate. `python train.py --help` lists the choices."""

from __future__ import annotations

import sys

from pdeops.app import main

if __name__ == "__main__":
    sys.exit(main("train", sys.argv[1:]))
