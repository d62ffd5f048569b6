"""`responses-gateway configure`: asks for the provider and the key, tests them, and writes the file."""

import asyncio
import getpass
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from responses_gateway.catalogue.models import shipped as cards
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.command_line.check import line
from responses_gateway.command_line.errors import CommandError, nearest
from responses_gateway.command_line.program import program
from responses_gateway.command_line.settings import settings_file
from responses_gateway.security.terminal import ask, say
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.loading import load_settings
from responses_gateway.upstream.probe import probe
from responses_gateway.upstream.routing import Route, Router


@dataclass(frozen=True)
class Answers:
    """The answers of the user. `api_key` None means the provider's own variable, or no key."""

    provider: str
    base_url: str | None
    """None: the provider's own."""

    api_key: str | None
    model: str


def run(config: str | None, provider: str | None, model: str | None) -> int:
    """Ask, try, write. What is given is not asked for."""
    path = settings_file(config)
    try:
        answers = _ask(provider, model)
        text = changed(_read(path), answers)
        route = _route(text, path, answers.model)
        say(f"Calling {route.model} at {route.base_url} …")
        finding = asyncio.run(probe(route))
        say(line(route, finding))
        if not finding.works and _choice("Write the configuration all the same?", "no").lower() not in ("y", "yes"):
            raise CommandError("nothing was written")
    except EOFError:
        raise CommandError("there is nobody to ask: configure needs a terminal") from None
    _write(path, text)
    say(f"Wrote {path}", f"Start the gateway with: {program()} start")
    return 0 if finding.works else 1


def changed(text: str, answers: Answers) -> str:
    """The file with the answers in it; its comments and everything else stay."""
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    try:
        document: Any = yaml.load(text)
    except YAMLError as error:
        raise CommandError(f"the configuration file is not valid YAML: {error}") from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise CommandError("the configuration file must be a mapping of settings")
    providers = document.get("providers") or {}
    entry = providers.get(answers.provider) or {}
    if answers.base_url:
        entry["base_url"] = answers.base_url
    if answers.api_key:
        entry["api_key"] = answers.api_key.replace("$", "$$")
    providers[answers.provider] = entry
    document["providers"] = providers
    document["provider"] = answers.provider
    document["default_model"] = answers.model
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _ask(provider: str | None, model: str | None) -> Answers:
    addressed = [name for name, profile in shipped().items() if profile.base_url is not None]
    if provider is None:
        say(f"Providers: {', '.join(addressed)}; or the base URL of any other chat/completions API.")
        provider = _choice("Provider", addressed[0])
    base_url = None
    if "://" in provider:
        base_url, provider = provider, _choice("A name for it", "mine")
    elif provider not in addressed:
        raise CommandError(f"unknown provider {provider}{nearest(provider, addressed)}")
    profile = shipped().get(provider)
    variables = profile.api_key_env if profile else []
    found = next((name for name in variables if os.environ.get(name)), None)
    hint = f"Enter: the one in {found}" if found else "Enter: none"
    api_key = getpass.getpass(f"API key ({hint}): ").strip() or None
    if model is None:
        known = [card.id for card in cards.shipped().values() if provider in card.providers]
        if known:
            say(f"Known models: {', '.join(known)}")
        model = _choice("Model", known[0] if known else None)
    return Answers(provider, base_url, api_key, model)


def _choice(question: str, default: str | None) -> str:
    """The answer, or the default for an empty one; asks again when there is none."""
    while True:
        answer = ask(f"{question}{f' [{default}]' if default else ''}: ").strip() or default
        if answer:
            return answer


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}") from None


def _route(text: str, path: Path, model: str) -> Route:
    """Where the gateway would send the model with this file. Raises CommandError for a file that it would refuse."""
    with tempfile.TemporaryDirectory() as directory:
        trial = Path(directory) / path.name
        trial.write_text(text, encoding="utf-8")
        trial.chmod(0o600)
        try:
            return Router(load_settings({}, os.environ, trial)).resolve(model)
        except SettingsError as error:
            raise CommandError(str(error).replace(str(trial), str(path))) from None


def _write(path: Path, text: str) -> None:
    """A new file with mode 0600 in the place of the old one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp's mode is 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
