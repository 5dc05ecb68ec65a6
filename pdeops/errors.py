"""The one exception for what a user can put right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: the message says what came, what was wanted and what to do.

    The command line prints it without a traceback and exits with status 2; in Python it is a `ValueError`.
    """


class Preempted(BaseException):
    """A scheduler wants this run to stop; what it has done is on disk. The command line exits with status 75 (temporary
    failure, try again)."""


def nearest(word: str, options: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    """At most three options that look like `word`, best first; `cutoff` is the similarity wanted, in [0, 1]."""
    return difflib.get_close_matches(word, sorted(set(options)), n=3, cutoff=cutoff)


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`Did you mean 'a' or 'b'?`, or all the options when none is close."""
    options = sorted(set(options))
    close = nearest(word, options)
    if close:
        return "Did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "Options: " + ", ".join(options) + "." if options else ""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def check_positive(group: str, **settings: int | None) -> None:
    """Raise InputError, naming the setting of a group, unless each that is given is at least 1."""
    for name, value in settings.items():
        if value is not None and value < 1:
            raise InputError(f"{group}.{name}={value}: wanted at least 1")
