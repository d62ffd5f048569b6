"""The subcommand `responses-gateway analyze-log`."""

import argparse
import json
from pathlib import Path

from responses_gateway.command_line.errors import CommandError
from responses_gateway.inspection.upstream_log.analysis import analyze, read, report
from responses_gateway.inspection.upstream_log.plot import svg
from responses_gateway.security.terminal import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `run`."""
    parser.add_argument("log", metavar="FILE", type=Path, help="the file of the setting upstream_log")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="also draw an SVG picture")


def run(args: argparse.Namespace) -> int:
    """Print the analysis. Raises CommandError when a file cannot be read or written."""
    try:
        analysis = analyze(read(args.log))
        if args.plot:
            args.plot.write_text(svg(analysis), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    if args.json:
        say(*json.dumps(analysis.data(), ensure_ascii=False, indent=2).split("\n"))
    else:
        say(*report(analysis))
    return 0
