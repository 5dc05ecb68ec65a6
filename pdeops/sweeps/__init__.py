"""Many runs of one command: sweeps, their launchers, and searches."""
