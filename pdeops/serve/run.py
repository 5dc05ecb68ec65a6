"""Starting the service."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import torch

from pdeops.clusters import package
from pdeops.errors import InputError, first_line
from pdeops.saved import load
from pdeops.serve.limits import Limits
from pdeops.serve.served import Served
from pdeops.sources import zoo
from pdeops.sources.load import resolve
from pdeops.sources.zoo import CARD

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CONNECTIONS = 1024  # at once; uvicorn answers further ones with 503
KEEP_ALIVE = 20  # seconds that a connection may be idle


def run(
    sources: Sequence[str], limits: Limits, *, host: str, port: int, token: str | None, threads: int | None, device: str
) -> None:
    """Serve sources, by default the zoo, until SIGINT or SIGTERM; requests that have begun are then still answered.

    Raises InputError on sources, addresses and devices that are none, and without a token on an address that other
    machines reach.
    """
    for name in ("fastapi", "uvicorn"):
        package(name, "serve", "pdeops serve")
    check_token(host, token)
    if threads is not None:
        if threads < 1:
            raise InputError(f"--threads={threads}: wanted at least 1")
        torch.set_num_threads(threads)
    served = [one_of(source, device) for source in sources or zoo.names()]
    if not served:
        raise InputError("nothing to serve: name a SOURCE, such as a run's folder")
    check_names([one.name for one in served])
    with listening(host, port) as listener:
        where = f"[{host}]" if ":" in host else host
        print(f"http://{where}:{listener.getsockname()[1]} serves {', '.join(one.name for one in served)}", flush=True)
        _serve(served, limits, token, listener)


def _serve(served: Sequence[Served], limits: Limits, token: str | None, listener: socket.socket) -> None:
    import uvicorn

    from pdeops.serve.app import create_app
    from pdeops.serve.protocol import Protocol

    sys.setswitchinterval(0.001)  # the model's thread gives way sooner to the one that answers
    config = uvicorn.Config(
        create_app(served, limits, token),
        log_level="error",
        access_log=False,
        server_header=False,
        ws="none",
        http=Protocol,
        timeout_keep_alive=KEEP_ALIVE,
        loop="asyncio",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=int(limits.timeout) + 1,
    )
    uvicorn.Server(config).run(sockets=[listener])


def check_token(host: str, token: str | None) -> None:
    """Raises InputError on an address that other machines reach without a token, and on a token that is none."""
    if token is None:
        if not _loopback(host):
            raise InputError(
                f"--host={host} is reached from other machines, and whoever reaches it may ask: give --token, or set "
                "PDEOPS_TOKEN"
            )
    elif not re.fullmatch(r"[!-~]+", token):
        raise InputError("--token: wanted visible ASCII characters without spaces, some")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def one_of(source: str, device: str) -> Served:
    """`SOURCE` or `NAME=SOURCE`, whatever `pdeops.load` takes, with its card where there is one."""
    name, equals, place = source.partition("=")
    if not equals:
        name, place = name_of(source), source
    if not NAME.fullmatch(name):
        raise InputError(f"{source}: the name {name!r}; wanted letters, digits, '.', '_' and '-'. Give NAME={place}")
    path = resolve(place)
    surrogate = load(path)
    try:
        surrogate = surrogate.to(device).eval()
    except (RuntimeError, AssertionError) as error:  # the latter of a torch without CUDA
        raise InputError(f"--device={device}: {first_line(error)}") from error
    return Served(name, surrogate, _card(path))


def name_of(source: str) -> str:
    """The last part of a source that says what it is: of hub:owner/name@revision, wandb:entity/project/name:version and
    runs/name/surrogate the name."""
    kind, colon, place = source.partition(":")
    if colon and kind in ("hub", "wandb", "zoo"):
        source = re.split("[@:]", place)[0]
    parts = [part for part in source.split("/") if part not in ("", ".", "surrogate")]
    return parts[-1].removesuffix(".ckpt") if parts else source


def _card(path: Path) -> dict[str, Any]:
    for file in (path / CARD, path / "surrogate" / CARD):
        if file.is_file():
            try:
                card = json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda word: None)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{file} is not valid JSON: {first_line(error)}") from error
            return card if isinstance(card, dict) else {}
    return {}


def check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{names.count(name)} surrogates are called {name}; give them names: OTHER=SOURCE")


def listening(host: str, port: int) -> socket.socket:
    """Raises InputError where nothing can listen."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host={host} --port={port}: {error}. --port=0 takes any that is free") from error
