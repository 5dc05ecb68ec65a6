"""Metrics: one number per sample, frame and field; every further reduction is named where it is made."""
