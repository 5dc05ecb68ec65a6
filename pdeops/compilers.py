"""The C++ compiler of this machine, which torch's own compilers call."""

from __future__ import annotations

from pdeops.errors import InputError


def check_compiler(needed_by: str, otherwise: str) -> None:
    """Raises InputError where there is no C++ compiler.

    needed_by: what asks for it, and needs it; otherwise: what can be done without.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler  # seconds to import
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise InputError(
            f"{needed_by} needs a C++ compiler, and none was found: install g++ or clang, name it in the environment "
            f"variable CXX, or {otherwise}"
        ) from error
