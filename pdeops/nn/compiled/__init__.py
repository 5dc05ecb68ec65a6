"""What is compiled by numba, which is optional: imported where it is used, and nowhere else."""
