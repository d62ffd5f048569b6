"""The models of all settings."""

from pathlib import Path
from typing import Literal, Self

from pydantic import ByteSize, Field, PositiveFloat, PositiveInt, SecretStr, model_validator

from responses_gateway.catalogue.providers.profile import BaseUrl, Names, Profile
from responses_gateway.catalogue.providers.shipped import same_host
from responses_gateway.protocol.json import JsonObject
from responses_gateway.proxy.contract import Limits
from responses_gateway.proxy.upstream_proxies import UpstreamProxies
from responses_gateway.security.header_fields import is_safe
from responses_gateway.settings.credentials import Credentials
from responses_gateway.settings.options import Options, SettingsModel
from responses_gateway.settings.prompts import Versions


class Provider(SettingsModel):
    """One provider of the file: its complete profile, with the changes of the file, and how to authenticate."""

    profile: Profile
    base: str
    """Name of the shipped profile that it is made from."""

    changes: JsonObject | None = None
    """What the file changes in the profile, when nothing says which one it starts from: the server itself may."""

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


class McpServer(SettingsModel):
    """An MCP server that clients may use by its label. It may be anywhere."""

    url: BaseUrl | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    command: str | None = None
    """A program that speaks MCP on its standard input and output."""

    args: list[str] = Field(default_factory=list)
    env: dict[str, SecretStr] = Field(default_factory=dict)
    """Its environment, besides what every program needs; no other variable of the gateway's."""

    description: str = ""
    """What the model is told of all its tools, if the client says nothing."""

    require_approval: Literal["always", "never"] = "always"
    """Whether the client has to approve each call, if it does not say."""

    allowed_tools: list[str] | None = None
    """The tools that models may call, of those that the client allows; None: all."""

    offered: bool = False
    """Whether every client is offered the server, also one that does not declare it."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise ValueError("exactly one of url and command is needed")
        for name, value in self.headers.items():
            if not is_safe(name, value.get_secret_value()):
                raise ValueError(f"the header {name} holds a character that no header can have")
        return self


class ImageGeneration(SettingsModel):
    """The endpoint that makes pictures for models: a provider, or an address with a key of its own."""

    provider: str | None = None
    url: BaseUrl | None = None
    """Where /images/generations is appended."""

    model: str | None = None
    """The model that makes the pictures; otherwise the one that the client names."""

    api_key: SecretStr | None = None
    api_key_env: str | None = None
    timeout: PositiveFloat = 180
    """Seconds for one picture."""

    rounds: PositiveInt = 5
    """How often a model may make pictures before it answers."""

    max_bytes: ByteSize = Field(ByteSize(16 << 20), ge=1 << 10)
    """The largest picture."""

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if (self.url is None) == (self.provider is None):
            raise ValueError("exactly one of provider and url is needed")
        if self.provider is not None and (self.api_key is not None or self.api_key_env is not None):
            raise ValueError("the provider has a key of its own; a key goes with url")
        if self.api_key is not None and not is_safe("authorization", self.api_key.get_secret_value()):
            raise ValueError("api_key holds a character that no header can have")
        return self


class Configuration(Options):
    """All keys of the file, validated."""

    providers: dict[str, Provider] = Field(default_factory=dict)

    mcp_servers: dict[str, McpServer] = Field(default_factory=dict)
    """By label."""

    image_generation: ImageGeneration | None = None
    prompts: dict[str, Versions] = Field(default_factory=dict)
    """By id."""


class Settings(Configuration):
    """All settings of the gateway, and the API keys that it found. `load_settings` makes it."""

    credentials: Credentials = Credentials()
    proxies: UpstreamProxies = UpstreamProxies()
    """What leads to upstreams, by the variables that other programs read as well."""

    config_path: Path | None = None
    """The file that was read; None when there is none."""

    warnings: tuple[str, ...] = ()
    """Warnings for the user about settings that are valid."""

    @property
    def names_upstream(self) -> bool:
        """Whether any setting says where requests go. An API key that happens to be in the environment does not."""
        return bool(self.upstream or self.provider or self.providers)

    @property
    def forwards_authorization(self) -> bool:
        """Whether any provider gets the client's own key."""
        return any(provider.forward_authorization for provider in self.providers.values())

    @property
    def time_limits(self) -> Limits:
        """What the proxy layer holds a turn to."""
        return Limits(
            heartbeat=self.heartbeat,
            connect=self.connect_timeout,
            first_byte=self.first_byte_timeout,
            idle=self.idle_timeout,
            queue=self.queue_timeout,
            turn=self.turn_timeout,
        )

    def for_clients_of(self, origin: str) -> "Settings":
        """These settings for requests that clients sent to another server: their keys are for it and for no other.

        A provider that gets the client's own key does not get it here, unless it is at that host and port.
        """
        providers = {
            name: provider
            if same_host(origin, provider.profile.base_url or "")
            else provider.model_copy(update={"forward_authorization": False})
            for name, provider in self.providers.items()
        }
        return self.model_copy(update={"providers": providers})

    def keeps_state_as(self, other: "Settings") -> bool:
        """Whether these settings can replace `other` without a new store and a new secret."""
        names = [name for name in Options.model_fields if name.startswith("store") or name == "secret_file"]
        return all(getattr(self, name) == getattr(other, name) for name in names)
