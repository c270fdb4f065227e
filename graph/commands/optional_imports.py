"""Optional parts of libraries that a server never uses, but that these import where they are installed.

Without them a start takes 0.1 s of CPU and 15 MB less. Each library has a way of its own to do without.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

UNUSED = ("watchfiles",)
"""Modules that the server never needs: uvicorn imports it to reload changed code."""
OCSP = "pymongo.pyopenssl_context"
"""The module by which pymongo checks revoked certificates: it needs PyOpenSSL, but imports cryptography first."""


def skip_unused_modules() -> None:
    """Let imports of modules that this program does not use fail from now on, as if they were not installed."""
    modules = [*UNUSED, *([OCSP] if find_spec("OpenSSL") is None else [])]
    for name in modules:
        # Python raises ImportError for a module that is None here.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


@contextmanager
def without_rich() -> Iterator[None]:
    """Let imports of rich fail in this block: structlog imports it to print tracebacks, which this program has plain.

    Does nothing where rich is loaded already.
    """
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["rich"]
