"""`python data/generate.py data=ns2d data.n=64`: make a data set. `--help` lists the choices."""

from __future__ import annotations

import sys

from pdeops.app import main

if __name__ == "__main__":
    sys.exit(main("generate", sys.argv[1:]))
