"""What users do with a trained or training FNO beyond calling it: compilers, exporters, optimisers, processes."""
