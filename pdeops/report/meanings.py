"""The metrics of the panel in a few words each."""

from __future__ import annotations

MEANINGS = {
    "relative_l2": "||u - v|| / ||v|| in L2",
    "relative_h1": "||u - v|| / ||v|| in H1, which counts gradients too",
    "vrmse": "root mean square error by the deviation of the reference",
    "pearson": "correlation over the nodes",
    "max_error": "the largest error of a node",
    "rmse_low": "root mean square error in waves below the 4th harmonic",
    "rmse_mid": "from the 4th to the 12th",
    "rmse_high": "from the 12th on",
    "boundary_rmse": "root mean square error on the boundary",
    "residual": "of the equation, by the prediction",
    "residual_truth": "of the equation, by the reference: what its nodes and frames allow",
    "valid_time": "until the relative L2 error exceeds 0.1",
    "valid_time_censored": "share of trajectories in which it never does",
}


def meaning(name: str) -> str:
    """Of a metric, with the frames or the segment that its brackets say."""
    plain, bracket, part = name.removeprefix("rollout/").partition("[")
    told = MEANINGS.get(plain, "")
    return f"{told}, of {part.rstrip(']')}" if bracket and told else told
