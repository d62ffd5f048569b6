"""The settings that one word can express, and their names as mitmproxy options and environment variables."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

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
)

from responses_gateway.catalogue.intercepted_apis import SHIPPED
from responses_gateway.catalogue.providers.profile import BaseUrl
from responses_gateway.settings.model_rules import ModelRules
from responses_gateway.settings.values import ApiBase, ArchivePlace, Cards, HomePath, JsonValues, StoreName, Words

BRAVE_KEY = "BRAVE_SEARCH_API_KEY"
TAVILY_KEY = "TAVILY_API_KEY"

VARIABLE_PREFIX = "RESPONSES_GATEWAY_"
OPTION_PREFIX = "gateway_"


class SettingsModel(BaseModel):
    """The base of all models of settings: unknown keys are refused, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Options(SettingsModel):
    """Settings that are keys of the file, `RESPONSES_GATEWAY_…` variables and `gateway_…` options alike.

    Each is declared only here; its description is its help text.
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
    models: ModelRules = Field(
        default_factory=dict,
        description="Which upstream and model a name or glob stands for: NAME=TARGET,NAME=TARGET, or JSON as in the "
        "file. A target is provider/model, provider or another model's name.",
    )
    model_capabilities: Cards = Field(
        default_factory=dict,
        description='Changes to model cards, as JSON: {"model": {"context_window": 131072, "tools": false}}.',
    )
    extra_parameters: JsonValues = Field(
        default_factory=dict,
        description='Merged into every chat request, as JSON: {"top_k": 20}. What the client says itself wins.',
    )
    drop_parameters: Words[str] = Field(
        default_factory=list, description="Fields of chat requests that are never sent, such as parallel_tool_calls."
    )
    deny_tools: Words[str] = Field(
        default_factory=list,
        description="Tools that no model is offered and no client is told to call: names, namespaces or types, or "
        "globs of them.",
    )
    hosted_tools: Words[str] = Field(
        default_factory=list,
        description="Types of hosted tools that the upstreams carry out themselves, such as web_search: their "
        "declarations go there as they are.",
    )

    strict: bool = Field(
        False,
        description="Refuse requests that would lose something (a tool that nobody can carry out, a field that the "
        "upstream does not take) with status 400, instead of telling it in the header x-responses-gateway-ledger.",
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
    upstream_rest: NonNegativeFloat = Field(
        10,
        description="Seconds until an upstream that kept failing is asked again, doubled each time that it fails then; "
        "0: it is always asked.",
    )

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
    mcp: Literal["any", "configured", "off"] = Field(
        "any",
        description="Which MCP servers clients may use: any that they name and that is on the public internet, only "
        "those of mcp_servers, or none (needs the extra `mcp`).",
    )
    mcp_private_hosts: Words[str] = Field(
        default_factory=list,
        description="Hosts (or host:port) of MCP servers that clients may name although they are not on the public "
        "internet.",
    )
    mcp_rounds: PositiveInt = Field(
        30, description="How often the model may call tools of MCP servers before it answers."
    )
    mcp_timeout: PositiveFloat = Field(
        60, description="Seconds for one call of an MCP server, and for the list of its tools."
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

    intercept: Words[ApiBase] = Field(
        default_factory=lambda: [SHIPPED],
        description="APIs whose requests are answered here when the gateway is a proxy: host and path, such as "
        f"llm.example.com/v1, where * stands for any part of a host; {SHIPPED} stands for those that it knows.",
    )

    access_keys: Words[SecretStr] = Field(
        default_factory=list, description="Keys, one of which every request but health checks must bring; none: open."
    )
    allowed_hosts: Words[str] = Field(
        default_factory=list, description="Host names to answer under, besides loopback and the listening address."
    )
    allowed_origins: Words[str] = Field(
        default_factory=list, description="Origins of web pages that may call the gateway."
    )


class Option(NamedTuple):
    """One setting, in the form that `loader.add_option` takes. None means that the option is not given."""

    name: str
    typespec: Any
    default: None
    help: str

    @property
    def setting(self) -> str:
        """The key in the file; the option `gateway_model` is the setting `default_model`."""
        short = self.name.removeprefix(OPTION_PREFIX)
        return "default_model" if short == "model" else short

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return VARIABLE_PREFIX + self.name.removeprefix(OPTION_PREFIX).upper()


def _option(setting: str, description: str, default: Any) -> Option:
    shown = default.human_readable(separator=" ") if isinstance(default, ByteSize) else default
    shown = ", ".join(shown) if isinstance(shown, list) else shown
    text = f"{description} Default: {shown}." if default or default == 0 else description
    return Option(OPTION_PREFIX + ("model" if setting == "default_model" else setting), str | None, None, text)


CONFIG_OPTION = _option("config", "The configuration file.", "~/.config/responses-gateway/config.yaml")
OPTIONS = (
    CONFIG_OPTION,
    *(
        _option(name, info.description or "", info.get_default(call_default_factory=True, validated_data={}))
        for name, info in Options.model_fields.items()
    ),
)
"""Every mitmproxy option of the gateway; each is also a variable and, except `gateway_config`, a key of the file."""
