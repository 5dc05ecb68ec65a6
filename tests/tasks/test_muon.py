"""One optimiser that is Muon on matrices and AdamW on everything else."""

import copy
import io

import torch
from torch.optim import AdamW, Muon

from pdeops.tasks.muon import MuonAdamW


def weights():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in ((4, 6), (5,), (2, 3, 4), (3, 3))]


def train(parameters, optimizers, steps, rates=None):
    for k in range(steps):
        for p in parameters:
            p.grad = torch.sin(3 * p.detach() + 1)
        for optimizer in optimizers:
            if rates:
                for group in optimizer.param_groups:
                    group["lr"] = rates[k]
            optimizer.step()


def test_each_kind_by_its_own():
    ours, theirs, rates = weights(), weights(), [0.1, 0.05, 0.2]
    train(ours, [MuonAdamW(ours, momentum=0.9, weight_decay=0.1)], 3, rates)
    muon = Muon(theirs[::3], momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    train(theirs, [muon, AdamW(theirs[1:3], weight_decay=0.1)], 3, rates)
    assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


def test_goes_on_from_its_state():
    whole, broken, file = weights(), weights(), io.BytesIO()
    train(whole, [MuonAdamW(whole)], 5)
    first = MuonAdamW(broken)
    train(broken, [first], 2)
    torch.save(first.state_dict(), file)
    file.seek(0)
    broken = [torch.nn.Parameter(p.detach().clone()) for p in broken]
    second = MuonAdamW(broken, lr=7.0)
    second.load_state_dict(torch.load(file, weights_only=True))
    train(broken, [second], 3)
    assert all(torch.equal(p, q) for p, q in zip(whole, broken, strict=True))


def test_of_one_kind_alone():
    for chosen in (weights()[:1], weights()[1:2]):
        before = copy.deepcopy(chosen)
        train(chosen, [MuonAdamW(chosen)], 1)
        assert not torch.equal(chosen[0], before[0])
