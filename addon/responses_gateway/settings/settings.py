"""Settings: one model, read from defaults, a file, the environment and mitmproxy's options, later ones winning."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, TypeAliasType, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import BaseUrl, Names, Profile
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.catalogue.yaml_file import KeyPath
from responses_gateway.protocol.json import JsonObject
from responses_gateway.security.header_fields import is_safe
from responses_gateway.settings import credentials
from responses_gateway.settings.config_file import (
    NOT_IN_FILE,
    SHAPING_KEYS,
    SettingsError,
    file_path,
    read_config,
    suggestion,
)
from responses_gateway.settings.credentials import Credentials
from responses_gateway.settings.values import ArchivePlace, Cards, HomePath, StoreName, Words

if TYPE_CHECKING:
    from responses_gateway.protocol.json import JsonObject

BRAVE_KEY = "BRAVE_SEARCH_API_KEY"
TAVILY_KEY = "TAVILY_API_KEY"

VARIABLE_PREFIX = "RESPONSES_GATEWAY_"
OPTION_PREFIX = "gateway_"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Options(_Data):
    """The settings that one word can say: keys of the file, `RESPONSES_GATEWAY_…` variables and `gateway_…` options.

    Each is declared here only; the descriptions are the help texts.
    """

    upstream: BaseUrl | None = Field(
        None,
        description="Base URL, with path, of the upstream for every model that is not routed elsewhere, "
        "such as https://opencode.ai/zen/go/v1.",
    )
    provider: str | None = Field(
        None, description="Provider for every model that is not routed elsewhere; with an upstream, the profile for it."
    )
    api_key_env: str | None = Field(
        None, description="Environment variable that holds the key of that upstream or provider."
    )
    default_model: str | None = Field(None, description="Model of requests that name none.")
    model_capabilities: Cards = Field(
        default_factory=dict,
        description='Changes to model cards, as JSON: {"model": {"context_window": 131072, "tools": false}}.',
    )

    heartbeat: NonNegativeFloat = Field(
        10, description="Seconds of silence until a streaming client gets a keep-alive; 0: never."
    )
    connect_timeout: PositiveFloat = Field(10, description="Seconds to connect to the upstream.")
    first_byte_timeout: PositiveFloat = Field(120, description="Seconds to wait until the upstream's answer begins.")
    idle_timeout: PositiveFloat = Field(
        300,
        description="Seconds without a piece of the answer, or a sign of a queue, until the upstream counts as dead.",
    )
    queue_timeout: PositiveFloat = Field(
        900,
        description="Seconds that a turn may wait in a queue of the upstream, which sends comments or blank lines "
        "meanwhile; at least idle_timeout.",
    )
    turn_timeout: NonNegativeFloat = Field(
        3600, description="Seconds for one turn altogether, whatever comes; 0: no limit."
    )
    body_limit: ByteSize = Field(ByteSize(64 << 20), description="Largest request body, such as 64MiB.")
    bodies_limit: ByteSize = Field(ByteSize(1 << 30), description="What all request bodies may take at once.")
    connections: PositiveInt = Field(1000, description="Client connections at once; further ones are closed.")
    retries: NonNegativeInt = Field(2, description="How often a request that failed before its first byte is repeated.")
    retry_budget: PositiveFloat = Field(20, description="Seconds that waiting for retries may take altogether.")

    fallback: str | None = Field(
        None,
        description="Model that takes over, as a request would name it (provider/model for another upstream), when an "
        "upstream fails before its answer begins.",
    )

    terminal: Literal["auto", "completed", "incomplete"] = Field(
        "auto",
        description="How a stream ends whose output was cut off: auto decides by client and cause; completed and "
        "incomplete are always that event.",
    )
    reasoning: Literal["summary", "text", "both", "none"] = Field(
        "summary", description="How clients see the model's reasoning: as summary, as raw text, both, or not at all."
    )

    store: StoreName = Field(
        "sqlite",
        description="Where responses are kept for previous_response_id and retrieval: sqlite, memory, none, or a "
        "redis:// URL (needs the extra `redis`).",
    )
    store_path: HomePath | None = Field(
        None,
        description="File of the SQLite store; none: responses.sqlite3 in ~/.local/state/responses-gateway.",
    )
    store_max_responses: PositiveInt = Field(10_000, description="How many responses are kept at most.")
    store_max_bytes: ByteSize = Field(ByteSize(1 << 30), description="What they may take, such as 1GiB.")
    store_max_age: PositiveFloat = Field(30, description="Days until a response is forgotten.")
    replay: Literal["off", "on", "tools"] = Field(
        "off",
        description="Answer a request that is identical to a stored one from the store: on, for requests without "
        "tools; tools, for all.",
    )
    secret_file: HomePath | None = Field(
        None,
        description="File with the 32 bytes that encrypt what travels with clients (reasoning, compaction); made when "
        "it is missing. Gateways with the same secret can serve one session. None: only encoded.",
    )

    websocket: bool = Field(
        True, description="Serve WebSocket connections on /v1/responses; otherwise clients are told to use POST."
    )

    search: Literal["brave", "searxng", "tavily"] | None = Field(
        None,
        description="Search engine for clients that declare web_search; none: the one whose key is found in "
        f"{BRAVE_KEY} or {TAVILY_KEY}.",
    )
    search_url: BaseUrl | None = Field(
        None, description="Base URL of the search engine; SearXNG needs it, the others have one."
    )
    search_results: PositiveInt = Field(5, description="Results of one search.")
    search_rounds: PositiveInt = Field(5, description="How often the model may search or open pages before it answers.")
    search_timeout: PositiveFloat = Field(15, description="Seconds for one search, and for one page.")
    search_private_hosts: Words[str] = Field(
        default_factory=list,
        description="Hosts (or host:port) that pages may be opened from although they are not on the public internet.",
    )
    archive: ArchivePlace = Field(
        "auto",
        description="Whether every turn is kept for looking at: on, off, auto (on under mitmweb), or the path of the "
        "file, which otherwise is archive.sqlite3 in ~/.local/state/responses-gateway.",
    )
    archive_max_bytes: ByteSize = Field(ByteSize(2 << 30), description="What the archive may take, such as 2GiB.")
    archive_max_age: PositiveFloat = Field(90, description="Days until a turn leaves the archive.")
    flows_kept: NonNegativeInt = Field(
        500,
        description="How many flows mitmweb keeps in its list while the archive keeps their turns; 0: all of them.",
    )
    flows_kept_bytes: ByteSize = Field(ByteSize(256 << 20), description="What these may hold, such as 256MiB.")
    upstream_log: Path | None = Field(
        None, description="File for a log of upstream requests: one line of JSON each, without keys."
    )
    upstream_log_bodies: bool = Field(False, description="Whether that log holds the requests' bodies.")

    access_keys: Words[SecretStr] = Field(
        default_factory=list, description="Keys, one of which every request but health checks must bring; none: open."
    )
    allowed_hosts: Words[str] = Field(
        default_factory=list, description="Host names to answer under, besides loopback and the listening address."
    )
    allowed_origins: Words[str] = Field(
        default_factory=list, description="Origins of web pages that may call the gateway."
    )


class Provider(_Data):
    """One provider of the file: a profile, complete with the file's changes, and how to authenticate."""

    profile: Profile
    base: str
    """Name of the shipped profile that it is made from."""

    api_key: SecretStr | None = None
    api_key_env: Names = Field(default_factory=list)
    """Variables that the file names for the key; the profile's own list is in the profile."""

    forward_authorization: bool = False
    """Whether the client's own Authorization header goes to this provider when there is no key."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.profile.base_url is None:
            raise ValueError("base_url is missing")
        if self.api_key is not None and not is_safe("authorization", self.api_key.get_secret_value()):
            raise ValueError("api_key holds a character that no header can have")
        return self


class ModelRule(_Data):
    """Where the models of one name or glob go."""

    target: str | None = None
    """`provider`, `provider/model` or another model's name."""

    provider: str | None = None
    model: str | None = None
    card: ModelCard | None = None
    """Only the fields that are set matter: they replace those of the model's card."""


class Configuration(Options):
    """What people write: the keys of the file."""

    providers: dict[str, Provider] = Field(default_factory=dict)
    models: dict[str, ModelRule] = Field(default_factory=dict)
    """Exact names and globs, in the order of the file."""


class Settings(Configuration):
    """Everything the gateway was told, and the keys that it found. `load_settings` makes it."""

    credentials: Credentials = Credentials()
    config_path: Path | None = None
    """The file that was read; None when there is none."""

    warnings: tuple[str, ...] = ()
    """What the user should know although the settings are valid."""

    @property
    def names_upstream(self) -> bool:
        """Whether anybody said where requests go; a key that happens to be in the environment says nothing."""
        return bool(self.upstream or self.provider or self.providers)

    def keeps_state_as(self, other: "Settings") -> bool:
        """Whether what outlives requests can stay as it is when these settings come after `other`."""
        names = [name for name in Options.model_fields if name.startswith("store") or name == "secret_file"]
        return all(getattr(self, name) == getattr(other, name) for name in names)


class Option(NamedTuple):
    """One setting, as `loader.add_option` takes it. None means that the option is not given."""

    name: str
    typespec: Any
    default: None
    help: str

    @property
    def setting(self) -> str:
        """The key of the file; an option `gateway_model` is the setting `default_model`."""
        short = self.name.removeprefix(OPTION_PREFIX)
        return "default_model" if short == "model" else short

    @property
    def variable(self) -> str:
        """The environment variable."""
        return VARIABLE_PREFIX + self.name.removeprefix(OPTION_PREFIX).upper()


def _option(setting: str, description: str, default: Any) -> Option:
    shown = default.human_readable(separator=" ") if isinstance(default, ByteSize) else default
    text = f"{description} Default: {shown}." if default or default == 0 else description
    return Option(OPTION_PREFIX + ("model" if setting == "default_model" else setting), str | None, None, text)


_CONFIG = _option("config", "The configuration file.", "~/.config/responses-gateway/config.yaml")
OPTIONS = (
    _CONFIG,
    *(
        _option(name, info.description or "", info.get_default(call_default_factory=True, validated_data={}))
        for name, info in Options.model_fields.items()
    ),
)
"""Every mitmproxy option of the gateway; each is also a variable and, except `gateway_config`, a key of the file."""


def config_location(options: Mapping[str, Any], environ: Mapping[str, str]) -> Path:
    """Where the file is, or would be: `gateway_config`, `RESPONSES_GATEWAY_CONFIG`, or the XDG configuration folder."""
    home = Path(environ.get("HOME") or Path.home())
    if name := options.get(_CONFIG.name) or environ.get(_CONFIG.variable):
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
    values: JsonObject = dict(config.values) if config else {}
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
        raise SettingsError(_explained(error, where)) from None
    _check_names(configuration, where)
    return Settings(
        **{name: getattr(configuration, name) for name in Configuration.model_fields},
        credentials=credentials.find(_key_variables(configuration), environ, home),
        config_path=path,
        warnings=(*(config.warnings if config else ()), *_misspelt_variables(environ)),
    )


def _config_file(options: Mapping[str, Any], environ: Mapping[str, str]) -> Path | None:
    path = config_location(options, environ)
    named = options.get(_CONFIG.name) or environ.get(_CONFIG.variable)
    return path if named or path.exists() else None


def _key_variables(configuration: Configuration) -> set[str]:
    """All variables that may hold a key of some provider."""
    profiles = [*shipped().values(), *(provider.profile for provider in configuration.providers.values())]
    names = {name for profile in profiles for name in profile.api_key_env}
    names.update(name for provider in configuration.providers.values() for name in provider.api_key_env)
    return names | {BRAVE_KEY, TAVILY_KEY, *filter(None, [configuration.api_key_env])}


def _check_names(configuration: Configuration, where: Callable[[KeyPath], str]) -> None:
    """Raise SettingsError for a provider that neither the file nor the package has; models need one with an address."""
    addressed = [name for name, profile in shipped().items() if profile.base_url is not None]
    checks: list[tuple[KeyPath, str | None, list[str]]] = [(("provider",), configuration.provider, [*shipped()])]
    checks += [(("models", name, "provider"), rule.provider, addressed) for name, rule in configuration.models.items()]
    for path, provider, known in checks:
        valid = [*configuration.providers, *known]
        if provider is not None and provider not in valid:
            raise SettingsError(f"{where(path)}: unknown provider {provider!r}{suggestion(provider, valid)}")


def unknown_options(names: Iterable[str]) -> list[str]:
    """What to say about mitmproxy options that nobody has declared but that were meant for the gateway."""
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


def _explained(error: ValidationError, where: Callable[[KeyPath], str]) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        location = problem["loc"]
        in_file = file_path(location)
        name = ".".join(map(str, in_file))
        if problem["type"] == "extra_forbidden":
            shaped = len(location) > 2 and location[-2] in SHAPING_KEYS
            valid = set(_keys(Configuration, location[: -2 if shaped else -1])) - NOT_IN_FILE
            text = f"unknown key {name}{suggestion(str(location[-1]), sorted(valid))}"
        else:
            text = f"{name}: {problem['msg'].removeprefix('Value error, ')}"
        lines.append(f"{where(in_file)}: {text}")
    return "\n".join(lines)


def _keys(kind: Any, location: KeyPath) -> list[str]:
    """The keys that the model at `location` below `kind` has."""
    if isinstance(kind, TypeAliasType):
        return _keys(kind.__value__, location)
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(origin, TypeAliasType):
        return []
    if origin is Annotated:
        return _keys(arguments[0], location)
    if origin in (Union, UnionType):
        return [key for argument in arguments for key in _keys(argument, location)]
    if origin in (dict, list):
        return _keys(arguments[-1], location[1:]) if location else []
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if location:
            info = kind.model_fields.get(str(location[0]))
            return _keys(info.annotation, location[1:]) if info else []
        nested = (_keys(kind, (key,)) for key in ("profile", "card") if key in kind.model_fields)
        return [*(key for key in kind.model_fields), *(key for keys in nested for key in keys)]
    return []
