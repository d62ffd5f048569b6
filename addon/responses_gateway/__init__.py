"""The Responses API in front of any chat/completions model, as a mitmproxy addon.

`start` runs the gateway in a thread of the calling program; everything else is found in the folders, each of which says
in its docstring what belongs there.
"""

import importlib
from typing import Any

from responses_gateway.version import __version__

__all__ = ["__version__", "start"]


def __getattr__(name: str) -> Any:
    """`start` when it is asked for (PEP 562): what does not start a gateway loads none of mitmproxy."""
    if name == "start":
        return importlib.import_module("responses_gateway.command_line.embedded").start
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
