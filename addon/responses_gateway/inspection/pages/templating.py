"""Makes HTML from templates and views. Everything is escaped; a name that a view does not have is an error."""

from hashlib import blake2b
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from responses_gateway.inspection.names import short_name
from responses_gateway.inspection.pages import formats, routes

_HERE = Path(__file__).parent
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

ASSETS = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in sorted((_HERE / "static").iterdir())
    if path.suffix in _TYPES
}
"""Bytes and type of what pages load, by name."""

_VERSION = blake2b(b"".join(body for body, _ in ASSETS.values()), digest_size=6).hexdigest()


def _asset(name: str) -> str:
    return routes.static_url(name, _VERSION)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        asset=_asset,
        sessions_url=routes.sessions_url,
        session_url=routes.session_url,
        turn_url=routes.turn_url,
        flow_url=routes.flow_url,
        share=formats.share,
    )
    environment.filters.update(
        count=formats.count,
        tokens=formats.tokens_of,
        money=formats.money,
        duration=formats.duration,
        clock=formats.clock,
        moment=formats.moment,
        exactly=formats.exactly,
        short_name=short_name,
    )
    return environment


_environment_of_pages = _environment()


def prepare() -> None:
    """Compile what the list of sessions is made with, which takes longer than making it."""
    for name in ("base.html", "sessions.html", "plot.html"):
        _environment_of_pages.get_template(name)


def render(template: str, **values: Any) -> str:
    """A whole page; `values` are for the template."""
    return _environment_of_pages.get_template(template).render(**values)


def render_part(template: str, block: str = "live", **values: Any) -> str:
    """One block of a page: what is put in its place when something has changed."""
    found = _environment_of_pages.get_template(template)
    return "".join(found.blocks[block](found.new_context(values)))
