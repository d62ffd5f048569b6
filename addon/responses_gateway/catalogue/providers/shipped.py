"""The shipped profiles, and the search for the profile of a URL."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import urlsplit

from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.catalogue.yaml_file import merge, read
from responses_gateway.protocol.json import JsonObject
from responses_gateway.security.loopback import leads_here

COMMON_GROUND = Profile(name="openai-compatible")
"""The profile of an unknown OpenAI-compatible server."""


@cache
def shipped() -> dict[str, Profile]:
    """All profiles that come with the package, by name.

    `profile: NAME` in a file means: like that one, except for what the file says.
    """
    entries = [entry for entry in files(__package__).iterdir() if entry.name.endswith(".yaml")]
    data = {entry.name.removesuffix(".yaml"): read(entry.read_text(encoding="utf-8")).value for entry in entries}
    profiles = [Profile.model_validate({"name": name, **_complete(name, data)}) for name in sorted(data)]
    return {profile.name: profile for profile in (COMMON_GROUND, *profiles)}


def _complete(name: str, data: dict[str, JsonObject]) -> JsonObject:
    own = {key: value for key, value in data[name].items() if key != "profile"}
    base = data[name].get("profile")
    return merge(_complete(base, data), own) if base else own


def for_url[P: Profile](url: str, profiles: Iterable[P]) -> P | None:
    """The profile whose `hosts` match the URL most specifically; None when none does."""
    address = _Address.of(url)
    ranked = [(rank, profile) for profile in profiles if (rank := _rank(profile, address)) is not None]
    return max(ranked, key=lambda pair: pair[0])[1] if ranked else None


def belongs(url: str, profile: Profile) -> bool:
    """Whether the profile is for this URL: only then may the profile's own key go there."""
    return _rank(profile, _Address.of(url)) is not None


def same_host(one: str, other: str) -> bool:
    """Whether two URLs have the same host and port."""
    return _Address.of(one)[:2] == _Address.of(other)[:2]


class _Address(NamedTuple):
    host: str
    port: int | None
    path: str

    @classmethod
    def of(cls, url: str) -> "_Address":
        """The address in a URL; one that matches nothing in what is no URL."""
        try:
            parts = urlsplit(url)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        except ValueError:
            return cls("", None, "/")
        host = parts.hostname or ""
        return cls("localhost" if leads_here(host) else host, port, parts.path.rstrip("/") + "/")


def _rank(profile: Profile, address: _Address) -> tuple[int, bool, int] | None:
    """How specifically the profile matches: path length, port given, letters of the host; None when it does not."""
    ranks = []
    for pattern in profile.hosts:
        authority, _, path = pattern.partition("/")
        host, _, port = authority.partition(":")
        if (
            fnmatchcase(address.host.lower(), host)
            and port in ("", str(address.port))
            and address.path.startswith(f"/{path}/" if path else "/")
        ):
            ranks.append((len(path), bool(port), len(host.replace("*", ""))))
    return max(ranks, default=None)
