"""How the user calls this program."""

import os
import shlex
import shutil
import sys

NAME = "responses-gateway"


def program() -> str:
    """What to type for it: its name where the shell finds just this one, else the way it was started."""
    started = os.path.abspath(sys.argv[0])
    if os.path.basename(started) != NAME:
        return f"{shlex.quote(sys.executable)} -m responses_gateway"
    return NAME if shutil.which(NAME) == started else shlex.quote(started)
