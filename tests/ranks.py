"""Functions run by several processes at once that can talk to each other."""

import os
import pickle
import socket
import traceback

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def on_ranks(world, function, *arguments, seconds=120):
    """What function(*arguments) returned in each of `world` gloo processes, in their order; it stands in a module."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])  # which is then imported once
    queue = context.Queue()
    ranks = [
        context.Process(target=_process, args=(r, world, port, queue, function, arguments), daemon=True)
        for r in range(world)
    ]
    for rank in ranks:
        rank.start()
    found = {}
    for _ in ranks:
        rank, failed, value = queue.get(timeout=seconds)
        assert not failed, value
        found[rank] = pickle.loads(value)
    for rank in ranks:
        rank.join(30)
    return [found[rank] for rank in range(world)]


def _process(rank, world, port, queue, function, arguments):
    try:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world))
        torch.set_num_threads(1)
        dist.init_process_group("gloo", rank=rank, world_size=world)
        queue.put((rank, False, pickle.dumps(function(*arguments))))  # tensors whole, not by shared files
        dist.destroy_process_group()
    except BaseException:
        queue.put((rank, True, traceback.format_exc()))
