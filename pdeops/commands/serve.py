"""`pdeops serve`: surrogates over HTTP, and a page to try them on."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    serve = commands.add_parser("serve", help="answer requests over HTTP, with a page to try surrogates on")
    serve.add_argument("sources", nargs="*", metavar="SOURCE", help="of pdeops.load, or NAME=SOURCE (the whole zoo)")
    serve.add_argument("--host", default="127.0.0.1", help="other than this machine's own: needs a token (127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, help="0: any that is free (8000)")
    serve.add_argument("--token", metavar="T", help="wanted of every request; better set in PDEOPS_TOKEN")
    serve.add_argument("--batch", type=int, default=16, metavar="N", help="samples that are answered together (16)")
    serve.add_argument("--wait-ms", type=float, default=5.0, metavar="MS", help="how long for others to come (5)")
    serve.add_argument("--queue", type=int, default=64, metavar="N", help="requests that may wait (64)")
    serve.add_argument("--max-mb", type=float, default=64.0, metavar="MB", help="of a body; of JSON an eighth (64)")
    serve.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds for an answer (30)")
    serve.add_argument("--threads", type=int, metavar="N", help="of torch (its own choice)")
    serve.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (cpu)")
    serve.set_defaults(run=_serve)


def _serve(options: Namespace) -> None:
    import os

    from pdeops.serve.limits import Limits
    from pdeops.serve.run import run

    limits = Limits(options.batch, options.wait_ms, options.queue, options.max_mb, options.timeout)
    token = options.token if options.token is not None else os.environ.get("PDEOPS_TOKEN")
    settings = {name: getattr(options, name) for name in ("host", "port", "threads", "device")}
    run(options.sources, limits, token=token, **settings)
