"""The console command `responses-gateway`: arguments in, one function per subcommand."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from responses_gateway.command_line import analyze_log as analyze_command
from responses_gateway.command_line import sessions_arguments
from responses_gateway.command_line.address import DEFAULT_HOST, DEFAULT_PORT, address_flags, base_url
from responses_gateway.command_line.argument_types import version
from responses_gateway.command_line.errors import CommandError, nearest
from responses_gateway.command_line.start_options import (
    OptionAdder,
    add_address,
    add_config,
    add_set,
    add_start_options,
    add_upstream,
)
from responses_gateway.security.terminal import say
from responses_gateway.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the process's exit status."""
    args = build_parser(os.environ).parse_args(argv)
    try:
        status: int = args.run(args)
    except CommandError as error:
        say(*f"responses-gateway: {error}".split("\n"), to=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has gone: there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def build_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """The whole command line; `environ` gives the defaults of options that have a variable."""
    parser = _Parser(prog="responses-gateway", description="The Responses API in front of any chat/completions model.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(run=lambda _: _print_help(parser))
    commands = parser.add_subparsers(metavar="COMMAND")
    _add_start(commands, environ)
    add_configure(commands, environ)
    _add_codex_config(commands, environ)
    _add_run(commands, environ)
    _add_models(commands, environ)
    _add_check(commands, environ)
    _add_service(commands, environ)
    _add_sessions(commands)
    _add_analyze_log(commands)
    return parser


def _print_help(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return 2


class _Parser(argparse.ArgumentParser):
    """Refuses what it does not know with the nearest valid name, instead of guessing abbreviations."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown[0])
        return parsed, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = list(action.choices or ())
        if choices and value not in choices:
            raise argparse.ArgumentError(action, f"{value!r} is none of {', '.join(choices)}{nearest(value, choices)}")

    def _refuse(self, argument: str) -> NoReturn:
        if not argument.startswith("-"):
            self.error(f"unexpected argument: {argument}")
        name = argument.partition("=")[0]
        self.error(f"unknown option {name}{nearest(name, self._option_string_actions)}")


type _Commands = argparse._SubParsersAction[_Parser]


def _add_start(commands: _Commands, environ: Mapping[str, str]) -> None:
    parser = commands.add_parser(
        "start",
        help="start the gateway",
        description="Start the gateway. Without an upstream it serves a built-in demo model, which needs no key.",
    )
    add_start_options(parser, environ)
    parser.set_defaults(run=_start)


def _add_run(commands: _Commands, environ: Mapping[str, str]) -> None:
    parser = commands.add_parser(
        "run",
        help="run a client with a gateway",
        usage="responses-gateway run [options of start] -- COMMAND ...",
        description="Start a gateway on a free port, or join the one that runs at --host and --port, and run a command "
        "that uses it: Codex, or any other client of OpenAI's API. Ends with the command, with its exit status.",
    )
    add_start_options(parser, environ, default_port=None)
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="the command and its arguments")
    parser.set_defaults(run=_run)


def add_configure(commands: _Commands, environ: Mapping[str, str]) -> None:
    parser = commands.add_parser(
        "configure",
        help="set up a provider",
        description="Ask for a provider, its key and a model, try them with a call, and write the configuration file.",
    )
    add = OptionAdder(parser, environ)
    add_config(add)
    parser.add_argument("--provider", metavar="NAME", help="a provider's name or base URL, instead of being asked")
    parser.add_argument("--model", metavar="NAME", help="the model, instead of being asked")
    parser.set_defaults(run=_configure)


def _add_codex_config(commands: _Commands, environ: Mapping[str, str]) -> None:
    parser = commands.add_parser(
        "codex-config",
        help="print or write the configuration for Codex CLI",
        description="Print the lines for ~/.codex/config.toml, or put them there. The models are those of the gateway "
        "that runs at --host and --port; if none runs there, those of its upstream, given as to `start`.",
    )
    add = OptionAdder(parser, environ)
    add_config(add)
    add_upstream(add)
    add("--model", metavar="NAME", help="the model that Codex asks for; the first one if it is not said")
    add_address(add)
    add_set(parser)
    parser.add_argument(
        "--catalog", metavar="FILE", help="write the models to FILE and refer to it; for Codex before 0.161"
    )
    parser.add_argument(
        "--for",
        dest="version",
        metavar="VERSION",
        type=version,
        help="the version of Codex, such as 0.111; if it is not said, that of the codex on PATH, else the newest",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="edit Codex's config.toml; keeps a backup beside it")
    what.add_argument("--undo", action="store_true", help="take out again what --write put there")
    parser.set_defaults(run=_codex_config)


def _add_models(commands: _Commands, environ: Mapping[str, str]) -> None:
    parser = commands.add_parser(
        "models", help="list the models", description="List the models that clients can ask for."
    )
    add_config(OptionAdder(parser, environ))
    parser.set_defaults(run=_models)


def _add_check(commands: _Commands, environ: Mapping[str, str]) -> None:
    parser = commands.add_parser(
        "check",
        help="try the providers",
        description="Try every provider with one small call: reachable, key accepted, model exists, streams, tools.",
    )
    add_config(OptionAdder(parser, environ))
    parser.add_argument("--model", metavar="NAME", help="try this model only")
    parser.set_defaults(run=_check)


def _add_service(commands: _Commands, environ: Mapping[str, str]) -> None:
    parser = commands.add_parser(
        "service",
        help="write a systemd user unit",
        description="Write a systemd user unit that runs `start` with these options.",
    )
    add_start_options(parser, {})
    parser.set_defaults(run=_service)


def _add_sessions(commands: _Commands) -> None:
    parser = commands.add_parser(
        "sessions",
        help="list, show, search, export and delete what the archive keeps",
        description="List, show, search, export and delete the sessions that the archive keeps.",
    )
    sessions_arguments.add_arguments(parser, _sessions)


def _add_analyze_log(commands: _Commands) -> None:
    parser = commands.add_parser(
        "analyze-log",
        help="find out what breaks prompt caching",
        description="Compare the consecutive requests of each session in a log of upstream requests.",
    )
    analyze_command.add_arguments(parser)
    parser.set_defaults(run=analyze_command.run)


# Modules that take long to import are imported where they are needed, and after a sign of life.


def _start(args: argparse.Namespace) -> int:
    _require_key(args.api_key_env)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    say("Starting the gateway …")
    from responses_gateway.command_line.serve import ServeOptions, serve

    return serve(ServeOptions(**_serve_options(args)))


def _run(args: argparse.Namespace) -> int:
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise CommandError("run needs a command: responses-gateway run -- codex")
    if args.raw:
        raise CommandError("--raw prints on the terminal, which belongs to the command; --web shows what models say")
    _require_key(args.api_key_env)
    from responses_gateway.command_line.run import RunOptions, run
    from responses_gateway.command_line.serve import ServeOptions

    given = (args.config, args.upstream, args.api_key_env, args.web, args.web_port, args.options)
    options = _serve_options(args) | {"port": DEFAULT_PORT if args.port is None else args.port}
    return run(RunOptions(ServeOptions(**options), joins=not any(given), own_port=args.port or 0), command)


def _serve_options(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of `ServeOptions`."""
    names = ("host", "port", "config", "upstream", "api_key_env", "model", "web", "web_port", "raw", "log_level")
    return {name: getattr(args, name) for name in (*names, "options")}


def _require_key(variable: str | None) -> None:
    if variable and not os.environ.get(variable):
        raise CommandError(f"the variable {variable} (--api-key-env) is not set; export {variable}=… first")


def _configure(args: argparse.Namespace) -> int:
    from responses_gateway.command_line import configure

    return configure.run(args.config, args.provider, args.model)


def _codex_config(args: argparse.Namespace) -> int:
    if args.port == 0:
        raise CommandError("codex-config needs the port that the gateway listens on: --port")
    from responses_gateway.command_line import codex
    from responses_gateway.command_line.settings import read_settings

    if args.undo:
        return codex.run_undo()
    # A gateway that runs has the key itself, so that nobody needs it here.
    given = {"upstream": args.upstream, "api_key_env": args.api_key_env, "model": args.model}
    settings = read_settings(args.config, given, args.options)
    run = codex.run_write if args.write else codex.run_print
    url, flags = base_url(args.host, args.port), address_flags(args.host, args.port)
    return run(codex.CodexOptions(url, flags, settings, args.model, args.catalog, args.version))


def _models(args: argparse.Namespace) -> int:
    from responses_gateway.command_line import models

    return models.run(args.config)


def _check(args: argparse.Namespace) -> int:
    from responses_gateway.command_line import check

    return check.run(args.config, args.model)


def _service(args: argparse.Namespace) -> int:
    from responses_gateway.command_line import service

    return service.run(_start_arguments(args))


def _sessions(args: argparse.Namespace) -> int:
    from responses_gateway.command_line import sessions

    return sessions.run(args)


def _start_arguments(args: argparse.Namespace) -> list[str]:
    """The command line of `start` that gives `args` again, wherever it is run."""
    values = {
        "--config": args.config and os.path.abspath(args.config),
        "--upstream": args.upstream,
        "--api-key-env": args.api_key_env,
        "--model": args.model,
        "--host": args.host if args.host != DEFAULT_HOST else None,
        "--port": args.port if args.port != DEFAULT_PORT else None,
        "--web-port": args.web_port,
        "--log-level": args.log_level if args.log_level != "info" else None,
    }
    arguments = [word for flag, value in values.items() if value is not None for word in (flag, str(value))]
    arguments += [flag for flag, on in (("--web", args.web), ("--raw", args.raw)) if on]
    return arguments + [word for option in args.options for word in ("--set", option)]
