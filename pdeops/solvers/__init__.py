"""Solvers. They see operators and arrays, never a PDE."""
