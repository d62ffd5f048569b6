"""How the user calls this program."""

import os
import shlex
import shutil
import sys

NAME = "responses-gateway"


def program() -> str:
    """Return the command: its name if the shell finds this very program by it, else the way it was started."""
    started = os.path.abspath(sys.argv[0])
    if os.path.basename(started) != NAME:
        return f"{shlex.quote(sys.executable)} -m responses_gateway"
    return NAME if shutil.which(NAME) == started else shlex.quote(started)
