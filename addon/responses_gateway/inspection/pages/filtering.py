"""What somebody chose in the filter of the list: from a query string to an archive's `Filter`, and back into links."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from responses_gateway.inspection.archive.rows import Filter

_LONGEST = 1000
"""Characters of one value."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The values of the form."""

    q: str = ""
    """Words that were said."""

    model: str = ""
    client: str = ""
    since: str = ""
    """A day of the server's time, such as `2026-11-27`; `until` is included."""

    until: str = ""
    failed: bool = False
    healed: bool = False
    page: int = 1

    @classmethod
    def of(cls, get: Callable[[str], str]) -> "Choice":
        """`get` gives the value of a parameter, empty when there is none. What is no day or number does not count."""
        page = get("page")[:6]
        return cls(
            q=get("q")[:_LONGEST],
            model=get("model")[:_LONGEST],
            client=get("client")[:_LONGEST],
            since=get("since") if _midnight(get("since")) else "",
            until=get("until") if _midnight(get("until")) else "",
            failed=bool(get("failed")),
            healed=bool(get("healed")),
            page=max(1, int(page)) if page.isascii() and page.isdigit() else 1,
        )

    @property
    def filter(self) -> Filter:
        since, until = _midnight(self.since), _midnight(self.until)
        return Filter(
            query=self.q,
            model=self.model,
            client=self.client,
            since=since.timestamp() if since else None,
            until=(until + timedelta(days=1)).timestamp() if until else None,
            failed=self.failed,
            healed=self.healed,
        )

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out."""
        return self.filter != Filter()

    def query(self, page: int) -> dict[str, object]:
        """Parameters of the address that shows another page of the same."""
        return {
            "q": self.q,
            "model": self.model,
            "client": self.client,
            "since": self.since,
            "until": self.until,
            "failed": "1" if self.failed else "",
            "healed": "1" if self.healed else "",
            "page": page if page > 1 else "",
        }


def _midnight(day: str) -> datetime | None:
    """When a day begins here; None for what is no day."""
    try:
        found = datetime.strptime(day, "%Y-%m-%d")
    except ValueError:
        return None
    return found if 1971 <= found.year <= 2999 else None
