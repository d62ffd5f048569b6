"""What the user says himself about the connections that pass through mitmproxy."""

from mitmproxy import ctx


def user_decides() -> bool:
    """Whether the user says which hosts mitmproxy intercepts."""
    return bool(ctx.options.allow_hosts or ctx.options.ignore_hosts)


def shows_all() -> bool:
    """Whether the user wants to see what passes, too."""
    return user_decides() or bool(ctx.options.show_ignored_hosts)
