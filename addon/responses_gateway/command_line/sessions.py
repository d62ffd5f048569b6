"""`responses-gateway sessions`: shows the archive on a terminal, whether or not the gateway runs."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from responses_gateway.command_line.errors import CommandError
from responses_gateway.command_line.settings import read_settings
from responses_gateway.inspection import export
from responses_gateway.inspection.archive.delete import delete_sessions
from responses_gateway.inspection.archive.file import ArchiveError
from responses_gateway.inspection.archive.flows import write_flows
from responses_gateway.inspection.archive.location import archive_path
from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.rows import Filter, Hit, Session, Turn, WholeTurn
from responses_gateway.inspection.archive.turn_text import lines_of
from responses_gateway.inspection.text import percent, shortened, tokens
from responses_gateway.protocol.json import loads
from responses_gateway.security.terminal import ask, one_line, say

_TITLE = 60
"""Characters of a title on one line."""


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` says. Raises CommandError."""
    path = _path(args)
    try:
        with closing(Archive(path)) as archive:
            return _ACTIONS[args.action](archive, args)
    except ArchiveError as error:
        raise CommandError(str(error)) from None


def _path(args: argparse.Namespace) -> Path:
    if getattr(args, "archive", None) is not None:
        return Path(args.archive)
    path = archive_path(read_settings(getattr(args, "config", None)), os.environ)
    if path is None:
        raise CommandError("the setting archive is off; --archive names a file")
    return path


def _filter(args: argparse.Namespace) -> Filter:
    if not args.filters:
        return Filter()
    return Filter("", "", args.model, args.client, args.since, args.until, args.failed, args.healed)


def _list(archive: Archive, args: argparse.Namespace) -> int:
    sessions = archive.sessions(_filter(args), limit=args.limit or -1)
    if args.json:
        _say_json([asdict(session) for session in sessions])
        return 0
    heads = ("SESSION", "BEGAN", "TURNS", "FAILED", "IN", "CACHED", "OUT", "COST", "CLIENT", "SAID")
    _print_table([heads, *map(_session_row, sessions)])
    return 0


def _session_row(session: Session) -> tuple[str, ...]:
    return (
        session.id,
        _when(session.began),
        str(session.turns),
        str(session.failed or "–"),
        *_spent(session),
        session.client or "?",
        shortened(session.title, _TITLE),
    )


def _spent(one: Session | Turn) -> tuple[str, str, str, str]:
    """Tokens in, their cached share, tokens out, cost."""
    cached = percent(one.cached_tokens / one.input_tokens) if one.input_tokens else "–"
    return (
        tokens(one.input_tokens),
        cached,
        tokens(one.output_tokens),
        "–" if one.cost is None else f"${one.cost:.4f}",
    )


def _show(archive: Archive, args: argparse.Namespace) -> int:
    name = _resolved(archive, args.name)
    turns = archive.turns(name)
    if args.json:
        whole = [] if turns else [_whole(archive, name).record]
        shown: Any = [asdict(turn) for turn in turns] or loads(export.fixture(whole))
        _say_json(shown)
    elif turns:
        heads = ("TURN", "BEGAN", "THREAD", "MODEL", "IN", "CACHED", "OUT", "COST", "SECONDS", "STATUS", "SAID")
        _print_table([heads, *map(_turn_row, turns)])
    else:
        say(*"\n".join(lines_of(_whole(archive, name))).split("\n"))
    return 0


def _turn_row(turn: Turn) -> tuple[str, ...]:
    return (
        turn.id,
        _when(turn.opened),
        (turn.agent or turn.kind) + f" {turn.thread[-6:]}",
        turn.model,
        *_spent(turn),
        f"{turn.ended / 1000:.1f}" if turn.ended >= 0 else "–",
        turn.status,
        shortened(turn.error or turn.title or f"({turn.calls} calls)", _TITLE),
    )


def _search(archive: Archive, args: argparse.Namespace) -> int:
    query = " ".join(f'"{word}"' if " " in word else word for word in args.words)
    hits = archive.search(query, _filter(args), limit=args.limit or -1)
    if args.json:
        _say_json([asdict(hit) for hit in hits])
        return 0
    for hit in hits:
        say(_hit_line(hit))
    return 0 if hits else 1


def _hit_line(hit: Hit) -> str:
    turn = hit.turn
    words = " ".join(f"{hit.before}{hit.words}{hit.behind}".split())
    return one_line(f"{turn.id}  {_when(turn.opened)}  {turn.model}  …{words}…")


def _export(archive: Archive, args: argparse.Namespace) -> int:
    wholes = [whole for name in args.names for whole in _wholes(archive, _resolved(archive, name))]
    if args.output is None and args.format == "flows" and sys.stdout.isatty():
        raise CommandError("flows are no text; name a file with --output")
    if args.format == "flows":
        data = write_flows(wholes)
    else:
        write = export.fixture if args.format == "json" else export.transcript
        data = write([whole.record for whole in wholes]).encode()
    _write(args.output, data)
    if args.output is not None:
        say(f"{len(wholes)} turns written to {args.output}")
    return 0


def _write(path: Path | None, data: bytes) -> None:
    """To a file for its owner only, or to standard output."""
    if path is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error


def _delete(archive: Archive, args: argparse.Namespace) -> int:
    names = [_resolved_session(archive, name) for name in args.names]
    if args.before is not None:
        names += [session.id for session in archive.sessions(limit=-1) if session.ended < args.before]
    if not names:
        raise CommandError("nothing to delete: name sessions, or a time with --before")
    names = list(dict.fromkeys(names))
    if not args.yes and not _is_sure(f"Delete {len(names)} sessions for good? [y/N] "):
        say("Nothing was deleted.", to=sys.stderr)
        return 1
    turns = delete_sessions(_path(args), names)
    say(f"{turns} turns of {len(names)} sessions deleted.")
    return 0


def _is_sure(question: str) -> bool:
    try:
        return ask(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


_ACTIONS = {"list": _list, "show": _show, "search": _search, "export": _export, "delete": _delete}


# Names -----------------------------------------------------------------------------------------------------------


def _resolved(archive: Archive, name: str) -> str:
    """The id of the one session or turn whose id is `name`, or begins with it. Raises CommandError."""
    return _only(name, archive.names(name))


def _resolved_session(archive: Archive, name: str) -> str:
    return _only(name, archive.session_names(name))


def _only(name: str, found: Sequence[str]) -> str:
    if name in found:
        return name
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(f"the archive has nothing of the id {one_line(name)}")
    raise CommandError(f"several ids begin with {name}: {', '.join(map(one_line, found[:5]))} …")


def _wholes(archive: Archive, name: str) -> Iterator[WholeTurn]:
    """Return the turns of an id."""
    ids = [turn.id for turn in archive.turns(name)] or [name]
    yield from (_whole(archive, one) for one in ids)


def _whole(archive: Archive, name: str) -> WholeTurn:
    whole = archive.turn(name)
    if whole is None:
        raise CommandError(f"the turn {name} is not in the archive any more")
    return whole


def _say_json(value: Any) -> None:
    """JSON for people and programs."""
    say(*json.dumps(value, ensure_ascii=False, indent=2).split("\n"))


# Lines -----------------------------------------------------------------------------------------------------------


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    shown = [tuple(map(one_line, row)) for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
