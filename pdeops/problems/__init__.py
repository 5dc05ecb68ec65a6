"""PDEs, one a file: a symbol, a nonlinearity, a distribution of inputs."""
