"""The upstreams that the settings make reachable, each with the one key that may go there."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.catalogue.providers.shipped import COMMON_GROUND, belongs, for_url, same_host, shipped
from responses_gateway.protocol.json import JsonObject
from responses_gateway.security.header_fields import affinity_key, is_safe
from responses_gateway.security.redaction import is_secret
from responses_gateway.settings.settings import Provider, Settings
from responses_gateway.version import __version__

DEFAULT_PATH = "/v1"
"""The base path of an upstream that is given without one and that no profile is for."""


@dataclass(frozen=True)
class Upstream:
    """One provider as this process reaches it."""

    provider: str
    """The provider's name: its key in the file, else its profile's name."""

    base: str
    """Name of the shipped profile that it is, or is made from; cards list models by it."""

    profile: Profile
    base_url: str
    """Without a slash at the end."""

    api_key: SecretStr | None
    key_source: str
    """Where the key is from, or why there is none; never the key."""

    forward_authorization: bool
    """Whether the client's own Authorization goes to this upstream; only without `api_key`."""

    changes: JsonObject | None = field(default=None, kw_only=True)
    """What the configuration changes in the profile of whatever server is there; None when the configuration or the
    address says which profile it is."""

    detected: str = field(default="", kw_only=True)
    """The shipped profile for servers of the kind that the upstream says it is; empty when that was not asked."""

    @property
    def own_headers(self) -> dict[str, str]:
        """The headers that the user configured; the others are the shipped profile's, and no secret."""
        base = shipped().get(self.base)
        known = base.headers if base is not None else {}
        return {name: value for name, value in self.profile.headers.items() if known.get(name) != value}

    @property
    def secrets(self) -> list[str]:
        """What is for this upstream only, and nobody else's to see."""
        values = [value.removeprefix("Basic ").replace("{session}", "") for value in self.own_headers.values()]
        return [self.api_key.get_secret_value(), *values] if self.api_key is not None else values

    @property
    def credential(self) -> str:
        """What the upstream is shown as a key, in words; never the key."""
        if self.api_key is not None:
            return f"the key from {self.key_source}"
        if self.forward_authorization:
            return "the client's own key"
        return f"the request, which had no key ({self.key_source}; the option api_key_env says where one is)"


def request_headers(
    upstream: Upstream, client_headers: Mapping[str, str], session: str | None, accept: str
) -> dict[str, str]:
    """The headers of a request to an upstream: our own, the profile's, and the key; nothing else of the client's.

    `client_headers` are by lower-case name; `session` is the id for profiles that want one.
    """
    headers = {
        "content-type": "application/json",
        "accept": accept,
        "accept-encoding": "identity",
        "user-agent": f"responses-gateway/{__version__}",
    }
    for name, value in upstream.profile.headers.items():
        if "{session}" not in value:
            headers[name.lower()] = value
        elif session is not None:
            headers[name.lower()] = value.replace("{session}", affinity_key(session))
    if upstream.api_key is not None:
        headers["authorization"] = f"Bearer {upstream.api_key.get_secret_value()}"
    elif upstream.forward_authorization and "authorization" in client_headers:
        headers["authorization"] = client_headers["authorization"]
    return headers


def with_settings(profile: Profile, settings: Settings) -> Profile:
    """The profile with what the settings say for all upstreams."""
    extra, drop = settings.extra_parameters, settings.drop_parameters
    deny, hosted = settings.deny_tools, settings.hosted_tools
    if profile.strict is None and settings.strict:
        profile = profile.model_copy(update={"strict": True})
    if not (extra or drop or deny or hosted):
        return profile
    of, tools = profile.parameters, profile.tools
    parameters = of.model_copy(update={"extra": {**of.extra, **extra}, "drop": [*of.drop, *drop]})
    tools = tools.model_copy(update={"deny": [*tools.deny, *deny], "hosted": [*tools.hosted, *hosted]})
    return profile.model_copy(update={"parameters": parameters, "tools": tools})


_OF_ONE_CONNECTION = frozenset(
    (
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect"),
        *("forwarded", "host", "keep-alive", "origin", "referer", "te", "trailer", "transfer-encoding", "upgrade"),
        *("via", "x-real-ip"),
    )
)
"""Headers that speak of the client's connection, or of a web page, and not of its request."""

_PREFIXES_NOT_SENT = ("proxy-", "sec-", "x-forwarded-", "x-responses-gateway-")
_OF_AN_ACCOUNT = frozenset({"openai-organization", "openai-project"})
"""Headers that mean something with the client's own key only."""


def native_headers(
    upstream: Upstream, client_headers: Mapping[str, str], session: str | None, accept: str
) -> dict[str, str]:
    """The headers of a request that is passed on untranslated: the client's own, and those of `request_headers`.

    No key, cookie or account of the client goes to the upstream, unless the client's own Authorization does.
    """
    own = request_headers(upstream, client_headers, session, accept)
    has_key = upstream.api_key is not None or not upstream.forward_authorization
    named = {name.strip().lower() for name in client_headers.get("connection", "").split(",")}
    kept = {
        name: value
        for name, value in client_headers.items()
        if name not in _OF_ONE_CONNECTION
        and name not in named
        and not name.startswith(_PREFIXES_NOT_SENT)
        and not (is_secret(name) or (has_key and name in _OF_AN_ACCOUNT))
        and is_safe(name, value)
    }
    if "user-agent" in kept:
        del own["user-agent"]
    return {**kept, **own}


def configured(settings: Settings) -> dict[str, Upstream]:
    """The providers of the file, by name."""
    return {name: _configured(name, provider, settings) for name, provider in settings.providers.items()}


def ready_made(settings: Settings) -> list[Upstream]:
    """The shipped providers that there is a key for, without any configuration."""
    known = (provider_of(profile.name, settings) for profile in shipped().values())
    return [upstream for upstream in known if upstream is not None and upstream.api_key is not None]


def provider_of(name: str, settings: Settings) -> Upstream | None:
    """The upstream of a shipped profile as it is; None when there is none of this name, or it has no address."""
    profile = shipped().get(name)
    if profile is None or profile.base_url is None:
        return None
    key, source = _found_key(profile, profile.base_url, settings)
    return Upstream(name, name, profile, profile.base_url, key, source, forward_authorization=False)


def default(settings: Settings, reverse_url: str | None, providers: dict[str, Upstream]) -> Upstream | None:
    """The upstream of every model that is not routed elsewhere; None when nothing says which.

    It is the settings' `upstream`, else the target of the reverse proxy mode, else the settings' `provider`, else the
    only provider of the file, else the only shipped provider that there is a key for.
    """
    named = _named(settings.provider, settings, providers) if settings.provider else None
    url = settings.upstream or reverse_url
    if url is not None:
        upstream = _at(url, named, settings, providers)
    elif named is not None and named.base_url:
        upstream = named
    else:
        only = list(providers.values()) or ready_made(settings)
        if len(only) != 1:
            return None
        upstream = only[0]
    return _authorised(upstream, settings, reverse_url)


def _configured(name: str, provider: Provider, settings: Settings) -> Upstream:
    profile, base_url = _addressed(provider.profile, provider.profile.base_url or "")
    key: SecretStr | None
    if provider.api_key is not None:
        key, source = provider.api_key, f"providers.{name}.api_key in {settings.config_path}"
    elif provider.api_key_env:
        key, source = _from_environment(provider.api_key_env, settings)
    else:
        key, source = _found_key(profile, base_url, settings)
    # With access keys, the client's Authorization is a key of ours.
    forward = provider.forward_authorization and key is None and not settings.access_keys
    return Upstream(name, provider.base, profile, base_url, key, source, forward, changes=provider.changes)


def _named(name: str, settings: Settings, providers: dict[str, Upstream]) -> Upstream | None:
    """A provider by name; one without an address is a profile only, for an upstream whose URL is given elsewhere."""
    if (known := providers.get(name) or provider_of(name, settings)) is not None:
        return known
    return Upstream(name, name, shipped()[name], "", None, "", forward_authorization=False)


def _at(url: str, named: Upstream | None, settings: Settings, providers: dict[str, Upstream]) -> Upstream:
    """The upstream at a URL: the named provider's way of speaking, else that of whoever is known there."""
    base = named or _by_address(url, settings, providers)
    path = urlsplit(url).path.rstrip("/")
    if not path:
        known = base.base_url if base else ""
        url = url.rstrip("/") + (urlsplit(known).path.rstrip("/") if known else DEFAULT_PATH)
    if base is not None and same_host(base.base_url, url):
        profile, url = _addressed(base.profile, url)
        return replace(base, profile=profile, base_url=url)
    profile = base.profile if base else COMMON_GROUND
    if base is not None:
        # Headers that the file has for a host are for that host, as its key is.
        theirs = shipped().get(base.base, COMMON_GROUND).headers
        profile = profile.model_copy(update={"headers": theirs})
    profile, url = _addressed(profile, url)
    key, source = _found_key(profile, url, settings)
    changes = base.changes if base else {}
    return Upstream(
        profile.name, base.base if base else profile.name, profile, url, key, source, False, changes=changes
    )


def _by_address(url: str, settings: Settings, providers: dict[str, Upstream]) -> Upstream | None:
    for upstream in providers.values():
        if same_host(upstream.base_url, url):
            return upstream
    profile = for_url(url, shipped().values())
    return _named(profile.name, settings, providers) if profile else None


def _authorised(upstream: Upstream, settings: Settings, reverse_url: str | None) -> Upstream:
    """With the key that the settings name for the default upstream, and the reverse proxy's way without any key.

    A plain reverse proxy passes the client's Authorization on, so `--mode reverse:URL` without any key does it too,
    to that host only, and not where Authorization carries a key of our own.
    """
    key, source, forward = upstream.api_key, upstream.key_source, upstream.forward_authorization
    if settings.api_key_env:
        key, source = _from_environment([settings.api_key_env], settings)
        forward = False
    elif key is None and reverse_url is not None and same_host(reverse_url, upstream.base_url):
        forward = not settings.access_keys
    return replace(upstream, api_key=key, key_source=source, forward_authorization=forward and key is None)


def _addressed(profile: Profile, url: str) -> tuple[Profile, str]:
    """The profile and the URL of an upstream, whose user name and password are taken out of the URL and sent as every
    HTTP client sends them: in Authorization (RFC 7617), unless a key stands there.
    """
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return profile, url
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    headers = {**profile.headers, "authorization": f"Basic {b64encode(user.encode()).decode()}"}
    netloc = parts.netloc.rpartition("@")[2]
    return profile.model_copy(update={"headers": headers}), parts._replace(netloc=netloc).geturl()


def _found_key(profile: Profile, base_url: str, settings: Settings) -> tuple[SecretStr | None, str]:
    """The key that nobody named for this upstream but that is its own: a profile's key, for the profile's hosts."""
    keys = settings.credentials
    if belongs(base_url, profile):
        key, source = _from_environment(profile.api_key_env, settings)
        if key is not None:
            return key, source
        for name in profile.opencode_auth:
            if name in keys.opencode:
                return keys.opencode[name], f"{name} in OpenCode's auth.json"
        return None, source
    return None, "no key configured"


def _from_environment(variables: Sequence[str], settings: Settings) -> tuple[SecretStr | None, str]:
    for name in variables:
        if (key := settings.credentials.environment.get(name)) is None:
            continue
        if not is_safe("authorization", key.get_secret_value()):
            return None, f"{name} holds a character that no header can have"
        return key, name
    return None, f"{' or '.join(variables)} not set" if variables else "no key configured"
