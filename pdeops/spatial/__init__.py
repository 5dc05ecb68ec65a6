"""Fields dealt in space over processes, for those too large for one device: models and losses."""
