"""Loads the settings from defaults, the file, the environment and mitmproxy's options; later ones win."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.catalogue.yaml_file import KeyPath
from responses_gateway.proxy.upstream_proxies import ProxyError, UpstreamProxies
from responses_gateway.settings import credentials
from responses_gateway.settings.config_file import SettingsError, read_config, suggestion
from responses_gateway.settings.options import (
    BRAVE_KEY,
    CONFIG_OPTION,
    OPTION_PREFIX,
    OPTIONS,
    TAVILY_KEY,
    VARIABLE_PREFIX,
)
from responses_gateway.settings.settings import Configuration, Settings
from responses_gateway.settings.validation_errors import explain


def config_location(options: Mapping[str, Any], environ: Mapping[str, str]) -> Path:
    """Return the path of the file, which need not exist.

    It is `gateway_config`, else `RESPONSES_GATEWAY_CONFIG`, else in the XDG configuration folder.
    """
    home = Path(environ.get("HOME") or Path.home())
    if name := options.get(CONFIG_OPTION.name) or environ.get(CONFIG_OPTION.variable):
        return home / name[2:] if name.startswith("~/") else Path(name)
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "responses-gateway/config.yaml"


def load_settings(options: Mapping[str, Any], environ: Mapping[str, str], config_path: Path | None = None) -> Settings:
    """Read all layers: defaults, the file, the environment, mitmproxy's options; later ones win.

    The file is `config_path`, else that of `config_location`, which must exist if somebody named it. Raises
    SettingsError.
    """
    home = Path(environ.get("HOME") or Path.home())
    path = config_path or _config_file(options, environ)
    config = read_config(path, environ) if path else None
    values: dict[str, Any] = dict(config.values) if config else {}
    origins: dict[str, str] = {}
    for option in OPTIONS[1:]:
        for origin, value in (
            (f"environment variable {option.variable}", environ.get(option.variable)),
            (f"option {option.name}", options.get(option.name)),
        ):
            if value not in (None, ""):
                values[option.setting], origins[option.setting] = value, origin

    def where(location: KeyPath) -> str:
        return origins.get(str(location[0])) or (config.where(location) if config else "settings")

    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as error:
        raise SettingsError(explain(error, where)) from None
    _check_names(configuration, where)
    return Settings(
        **{name: getattr(configuration, name) for name in Configuration.model_fields},
        credentials=credentials.find(_key_variables(configuration), environ, home),
        proxies=_proxies(environ),
        config_path=path,
        warnings=(*(config.warnings if config else ()), *_misspelt_variables(environ)),
    )


def _config_file(options: Mapping[str, Any], environ: Mapping[str, str]) -> Path | None:
    path = config_location(options, environ)
    named = options.get(CONFIG_OPTION.name) or environ.get(CONFIG_OPTION.variable)
    return path if named or path.exists() else None


def _proxies(environ: Mapping[str, str]) -> UpstreamProxies:
    try:
        return UpstreamProxies.of_environment(environ)
    except ProxyError as error:
        raise SettingsError(f"environment variable {error}") from None


def _key_variables(configuration: Configuration) -> set[str]:
    """Return the names of all variables that may hold a key of a provider."""
    profiles = [*shipped().values(), *(provider.profile for provider in configuration.providers.values())]
    names = {name for profile in profiles for name in profile.api_key_env}
    names.update(name for provider in configuration.providers.values() for name in provider.api_key_env)
    pictures = configuration.image_generation
    names.update(filter(None, [pictures.api_key_env if pictures is not None else None]))
    return names | {BRAVE_KEY, TAVILY_KEY, *filter(None, [configuration.api_key_env])}


def _check_names(configuration: Configuration, where: Callable[[KeyPath], str]) -> None:
    """Raise SettingsError for a provider that neither the file nor the package has.

    The provider of a model must have an address.
    """
    addressed = [name for name, profile in shipped().items() if profile.base_url is not None]
    checks: list[tuple[KeyPath, str | None, list[str]]] = [(("provider",), configuration.provider, [*shipped()])]
    checks += [(("models", name, "provider"), rule.provider, addressed) for name, rule in configuration.models.items()]
    if (pictures := configuration.image_generation) is not None:
        checks.append((("image_generation", "provider"), pictures.provider, addressed))
    for path, provider, known in checks:
        valid = [*configuration.providers, *known]
        if provider is not None and provider not in valid:
            raise SettingsError(f"{where(path)}: unknown provider {provider!r}{suggestion(provider, valid)}")


def unknown_options(names: Iterable[str]) -> list[str]:
    """Describe mitmproxy options that are not declared, but were meant for the gateway."""
    known = [option.name for option in OPTIONS]
    ours = (name for name in names if name.startswith(OPTION_PREFIX) or get_close_matches(name, known, 1, cutoff=0.8))
    return [f"Unknown option {name}{suggestion(name, known)}" for name in ours if name not in known]


def _misspelt_variables(environ: Mapping[str, str]) -> list[str]:
    known = [option.variable for option in OPTIONS]
    ours = [name for name in environ if name.startswith(VARIABLE_PREFIX) and name not in known]
    near = {name: get_close_matches(name, known, 1, cutoff=0.9) for name in ours}
    return [
        f"environment variable {name} has no meaning; did you mean {match[0]}?" for name, match in near.items() if match
    ]
