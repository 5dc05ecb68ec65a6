"""Data: the HDF5 layout, reading, generation, conversion."""
