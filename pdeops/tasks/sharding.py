"""Training with parameters in shards, one a process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from pdeops.errors import InputError
from pdeops.saved import from_description
from pdeops.surrogate import Surrogate
from pdeops.tasks.pieces import pieces


class Sharded(ModelParallelStrategy):
    """Fully sharded data parallelism (torch's `fully_shard`) over all processes; checkpoints are those of any other
    run: one file of whole tensors."""

    def __init__(self) -> None:
        super().__init__(save_distributed_checkpoint=False)

    def _setup_distributed(self) -> None:
        super()._setup_distributed()
        self._data_parallel_size, self._tensor_parallel_size = self.world_size, 1


def shard(model: nn.Module, mesh: Any) -> None:
    """Shard a model in place, one piece after the other, so that one of them is whole at a time; once.

    Raises InputError on complex parameters, which torch does not shard beside real ones.
    """
    if sharded(model):
        return
    if any(p.is_complex() for p in model.parameters()):
        raise InputError(f"trainer=fsdp: this {type(model).__name__} has complex parameters; take trainer=ddp")
    for piece in pieces(model):
        fully_shard(piece, mesh=mesh)
    fully_shard(model, mesh=mesh)


def sharded(module: nn.Module) -> bool:
    return any(isinstance(p, DTensor) for p in module.parameters())


def load_whole(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load whole tensors, each process its shards of them."""
    if sharded(module):
        set_model_state_dict(module, dict(state), options=StateDictOptions(full_state_dict=True))
    else:
        module.load_state_dict(state)


def whole(surrogate: Surrogate, description: dict[str, Any]) -> Surrogate:
    """The surrogate itself, or where it is sharded one of whole tensors on the CPU, in the first process; all take
    part."""
    if not sharded(surrogate):
        return surrogate
    state = get_model_state_dict(surrogate, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    one = from_description(description)
    if state:
        one.load_state_dict(state, assign=True)
    return one
