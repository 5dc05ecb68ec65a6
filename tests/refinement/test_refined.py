"""What refinement gives back."""

import torch

from pdeops.refinement import refined
from pdeops.refinement.estimate import Untold


def test_what_cannot_be_told_is_infinite_where_the_fields_are(monkeypatch):
    def untold(*_, **__):
        raise Untold("no")

    monkeypatch.setattr(refined, "error_estimate", untold)
    u = torch.zeros(3, 1, 4, 8, device="meta")
    found = refined.judged(None, u, u, None, 2, 1e-6)
    assert found.method == "none"
    assert found.error.shape == found.floor.shape == (3,)
    assert found.error.device == u.device
    assert torch.full((3,), torch.inf).equal(refined.judged(None, u, torch.zeros(3), None, 2, 1e-6).bound)
