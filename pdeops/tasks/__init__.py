"""Lightning modules: what is done with a surrogate."""
