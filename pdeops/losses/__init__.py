"""Losses: `loss(u, batch)` in physical units, supervised and residual alike; built from a bound window."""
