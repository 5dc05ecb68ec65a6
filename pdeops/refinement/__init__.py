"""A posteriori: how wrong a predicted trajectory is, and how to make it right, by the equation alone."""
