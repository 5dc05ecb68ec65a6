"""How far predictions may be from the truth: ensembles, and bands of a stated coverage."""
