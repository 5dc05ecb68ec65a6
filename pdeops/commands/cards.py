"""`pdeops card` and `pdeops push`: a surrogate's card, and a surrogate with its card to where others load it."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    card = commands.add_parser("card", help="what a surrogate is, of what it was made and what it is worth")
    card.add_argument("source", metavar="RUN", help="a finished run's folder; of another source what it says of itself")
    card.add_argument("-o", "--out", metavar="FOLDER", help="where README.md and card.json go (default: RUN)")
    card.add_argument("--name", help="of the surrogate (default: the folder's)")
    card.add_argument("--licence", default="mit", help="of the weights, as the Hub writes it (default: mit)")
    card.set_defaults(run=_card)
    push = commands.add_parser("push", help="a surrogate and its card to hub:owner/name or wandb:entity/project/name")
    push.add_argument("source", metavar="SOURCE", help="a run, a saved surrogate, or any other source of pdeops.load")
    push.add_argument("place", metavar="PLACE", help="hub:owner/name or wandb:entity/project/name")
    push.add_argument("--licence", default="mit", help="of the weights, as the Hub writes it (default: mit)")
    push.set_defaults(run=_push)


def _card(options: Namespace) -> None:
    from pathlib import Path

    from pdeops.cards.bundle import write_card
    from pdeops.sources.load import resolve

    source = resolve(options.source)
    folder = source if source.is_dir() else source.parent
    out = Path(options.out) if options.out else folder
    print(write_card(source, out, options.name or folder.resolve().name, options.licence))


def _push(options: Namespace) -> None:
    from pdeops.cards.push import push

    print(f"load it with: pdeops.load({push(options.source, options.place, options.licence)!r})")
