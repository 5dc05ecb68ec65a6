"""Rows of a field, channels last, are worked on by tiles that stay in the caches."""

TURN = 1  # of a job: threads that have come so far, each of which has scratch of its own
TILE = 64  # rows; bodies get it with the job, so that scratch and they never differ
TILES = 4  # that a thread takes at a time, where nothing is summed over rows
CHUNKS = 32  # of rows, each with its own sums of the weights' gradients: bits that do not depend on threads


def length(rows: int) -> int:
    """Rows of a chunk."""
    return TILE * max(1, -(-rows // (TILE * CHUNKS)))
