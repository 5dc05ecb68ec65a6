"""Operators, one a file: `Model(in_channels, out_channels, grid_in, grid_out, *, ...)`, `u = model(a, out=None)`."""
