"""Copies of the tree, and forks of this process that run tests in them."""

import contextlib
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutation.mutants import ROOT

COPIED = ("addon", "tests", "scripts", "docs", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
LIBRARIES = (
    "mitmproxy.addons.proxyserver",
    "mitmproxy.proxy.layers",
    "openai.types.responses",
    "hypothesis",
    "aiohttp",
)
"""What most tests import: loaded once, a fork has it already."""


def load_libraries() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)


def copy_into(tree: Path) -> None:
    """Copies what tests need: mutants are written there, not to the package itself."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tree / name)


def enter(tree: Path, output: Path) -> None:
    """Makes this (forked) process one that runs tests in a copy of the tree, in a group of its own."""
    os.setsid()
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree / "addon")
    sys.path[:0] = [str(tree), str(tree / "addon")]
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)


def in_fork(run: Callable[..., None], *arguments: Any, limit: float | None = None) -> int | None:
    """What a function exits with in a process group of its own; None when it takes longer than `limit` seconds."""
    process = multiprocessing.get_context("fork").Process(target=run, args=arguments)
    process.start()
    process.join(limit)
    code = process.exitcode
    with contextlib.suppress(ProcessLookupError):
        # Servers that fixtures have started are still there.
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return code
