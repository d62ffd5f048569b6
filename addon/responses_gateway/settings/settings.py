"""The models of all settings."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Api, Names, Profile
from responses_gateway.proxy.contract import Limits
from responses_gateway.security.header_fields import is_safe
from responses_gateway.settings.credentials import Credentials
from responses_gateway.settings.options import Options, SettingsModel


class Provider(SettingsModel):
    """One provider of the file: its complete profile, with the changes of the file, and how to authenticate."""

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


class ModelRule(SettingsModel):
    """The upstream for the models of one name or glob."""

    target: str | None = None
    """`provider`, `provider/model` or another model's name."""

    provider: str | None = None
    model: str | None = None
    api: Api | None = None
    """Replaces that of the provider's profile."""

    card: ModelCard | None = None
    """Only the fields that are set matter: they replace those of the model's card."""


class Configuration(Options):
    """All keys of the file, validated."""

    providers: dict[str, Provider] = Field(default_factory=dict)
    models: dict[str, ModelRule] = Field(default_factory=dict)
    """Exact names and globs, in the order of the file."""


class Settings(Configuration):
    """All settings of the gateway, and the API keys that it found. `load_settings` makes it."""

    credentials: Credentials = Credentials()
    config_path: Path | None = None
    """The file that was read; None when there is none."""

    warnings: tuple[str, ...] = ()
    """Warnings for the user about settings that are valid."""

    @property
    def names_upstream(self) -> bool:
        """Whether any setting says where requests go. An API key that happens to be in the environment does not."""
        return bool(self.upstream or self.provider or self.providers)

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

    def keeps_state_as(self, other: "Settings") -> bool:
        """Whether these settings can replace `other` without a new store and a new secret."""
        names = [name for name in Options.model_fields if name.startswith("store") or name == "secret_file"]
        return all(getattr(self, name) == getattr(other, name) for name in names)
