"""The arguments of `responses-gateway sessions`."""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

FORMATS = ("json", "transcript", "flows")

type Run = Callable[[argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser, run: Run) -> None:
    """Declare the subcommands; `run` gets which one as `action`."""
    _add_source(parser)
    parser.set_defaults(run=run, action="list", filters=False, json=False, limit=20)
    actions = parser.add_subparsers(metavar="ACTION")
    _add_list(actions, run)
    _add_show(actions, run)
    _add_search(actions, run)
    _add_export(actions, run)
    _add_delete(actions, run)


type _Actions = argparse._SubParsersAction[argparse.ArgumentParser]


def _add(actions: _Actions, run: Run, name: str, help: str, description: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=help, description=description)
    _add_source(parser)
    parser.set_defaults(run=run, action=name)
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    # A default would overwrite what stands before the subcommand.
    suppress = argparse.SUPPRESS
    parser.add_argument("--archive", metavar="FILE", type=Path, default=suppress, help="another archive")
    parser.add_argument("--config", metavar="FILE", default=suppress, help="the configuration file that names it")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(filters=True)
    parser.add_argument("--model", metavar="NAME", default="", help="only turns of this model")
    parser.add_argument("--client", metavar="NAME", default="", help="only turns of this client, such as codex_exec")
    parser.add_argument("--since", metavar="TIME", type=_time, help="only turns from then on, such as 2026-11-27T18:00")
    parser.add_argument("--until", metavar="TIME", type=_time, help="only turns before then")
    parser.add_argument("--failed", action="store_true", help="only turns that failed")
    parser.add_argument("--healed", action="store_true", help="only turns that were healed")
    parser.add_argument("--limit", metavar="N", type=_count, default=20, help="lines at most; 0: all (default: 20)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_list(actions: _Actions, run: Run) -> None:
    _add_filters(_add(actions, run, "list", "list the sessions", "List the sessions, the latest first."))


def _add_show(actions: _Actions, run: Run) -> None:
    parser = _add(actions, run, "show", "show a session or a turn", "Show the turns of a session, or one turn whole.")
    parser.add_argument("name", metavar="ID", help="of a session or a turn, or how it begins")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_search(actions: _Actions, run: Run) -> None:
    parser = _add(actions, run, "search", "search in what was said", "Find the turns in which all words were said.")
    parser.add_argument("words", metavar="WORD", nargs="+", help='a word or how it begins; "two words" for a phrase')
    _add_filters(parser)


def _add_export(actions: _Actions, run: Run) -> None:
    parser = _add(actions, run, "export", "write turns to a file", "Write sessions or turns to a file.")
    parser.add_argument("names", metavar="ID", nargs="+", help="of a session or a turn, or how it begins")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="json",
        help="json: both sides of every turn; transcript: a line of JSON per item; flows: for mitmweb -r",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the file; else standard output")


def _add_delete(actions: _Actions, run: Run) -> None:
    parser = _add(actions, run, "delete", "delete sessions", "Delete sessions from the archive, for good.")
    parser.add_argument("names", metavar="ID", nargs="*", help="of a session, or how it begins")
    parser.add_argument("--before", metavar="TIME", type=_time, help="also all sessions that ended before then")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _time(text: str) -> float:
    """Seconds since the epoch, from a local time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-27 or 2026-11-27T18:00") from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)
