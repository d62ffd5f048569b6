"""Sums up turns by day and model, for a table and a plot."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from typing import NamedTuple

from responses_gateway.inspection.archive.rows import Total
from responses_gateway.inspection.pages.formats import count, money, share, tokens_of
from responses_gateway.inspection.text import counted

DAYS = 60
"""Days that a plot shows, up to the last one; a table shows them all."""

_FEWEST = 14
"""Columns that a plot has room for at least, so that one day does not fill it."""

COLOURS = 6
"""Models that have a colour of their own; the others share one."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Figures of some turns."""

    turns: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """US dollars of the turns whose price is known; None when it is known of none."""

    def __add__(self, other: "Sums | Total") -> "Sums":
        known = [one for one in (self.cost, other.cost) if one is not None]
        return Sums(
            self.turns + other.turns,
            self.failed + other.failed,
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            sum(known) if known else None,
        )

    @property
    def cache_share(self) -> str:
        return share(self.cached_tokens, self.input_tokens)


class Piece(NamedTuple):
    """One rectangle of a column. Numbers are per cent of the plot, from its upper left corner."""

    kind: str
    """Its class in the style sheet."""

    x: float
    y: float
    width: float
    height: float


class _Day(NamedTuple):
    """What a column is made from: kind and size of its parts, from below."""

    day: str
    parts: Sequence[tuple[str, float]]
    tip: str


class Column(NamedTuple):
    """One day of a plot."""

    label: str
    """Of the axis; empty for most days."""

    middle: float
    tip: str
    pieces: list[Piece]
    x: float
    width: float


class Plot(NamedTuple):
    """Columns, day after day."""

    title: str
    top: str
    """What the height stands for."""

    legend: list[tuple[str, str]]
    """Class and name of each colour."""

    columns: list[Column]


@dataclass(frozen=True, slots=True)
class Totals:
    """What the page shows."""

    all: Sums
    models: list[tuple[str, Sums]]
    """Those with the most tokens first."""

    days: list[Total]
    """Newest first."""

    plots: list[Plot]


def totals_of(rows: Sequence[Total]) -> Totals:
    """Sum up the rows of `Archive.totals`."""
    models: dict[str, Sums] = {}
    for row in rows:
        models[row.model] = models.get(row.model, Sums()) + row
    ordered = sorted(models.items(), key=lambda one: -(one[1].input_tokens + one[1].output_tokens))
    newest = sorted(rows, key=lambda row: (row.day, row.cost or 0, row.input_tokens), reverse=True)
    return Totals(_sums(rows), ordered, newest, _plots(rows, [name for name, _ in ordered]))


def _sums(rows: Iterable[Total]) -> Sums:
    return reduce(Sums.__add__, rows, Sums())


def _plots(rows: Sequence[Total], models: Sequence[str]) -> list[Plot]:
    days = {day: [row for row in rows if row.day == day] for day in _days(rows)}
    if not days:
        return []
    tokens = _plot(
        "Tokens per day",
        [_tokens_day(day, _sums(rows_of_day)) for day, rows_of_day in days.items()],
        [("cached", "input from the cache"), ("new", "new input"), ("output", "output")],
        lambda top: tokens_of(round(top)),
    )
    if not any(row.cost for row in rows):
        return [tokens]
    colours = {name: f"model{min(at, COLOURS)}" for at, name in enumerate(models)}
    legend = [(colours[name], name or "?") for name in models[:COLOURS]]
    if len(models) > COLOURS:
        legend.append((f"model{COLOURS}", "others"))
    costs = [_cost_day(day, rows_of_day, colours) for day, rows_of_day in days.items()]
    return [tokens, _plot("Cost per day", costs, legend, money)]


def _days(rows: Iterable[Total]) -> list[str]:
    """The days from the first to the last, those without turns among them; at most DAYS."""
    known = {row.day for row in rows if row.day}
    if not known:
        return []
    last = date.fromisoformat(max(known))
    first = max(date.fromisoformat(min(known)), last - timedelta(days=DAYS - 1))
    return [(first + timedelta(days=at)).isoformat() for at in range((last - first).days + 1)]


def _plot(title: str, days: Sequence[_Day], legend: list[tuple[str, str]], written: Callable[[float], str]) -> Plot:
    """Columns as high as their parts; `written` gives the text for the highest."""
    top = max((sum(part for _, part in day.parts) for day in days), default=0.0)
    step = 100 / max(len(days), _FEWEST)
    every = -(-len(days) // 6)
    columns = []
    for at, day in enumerate(days):
        x, width, y = at * step + step * 0.1, step * 0.8, 100.0
        pieces = []
        for kind, part in day.parts:
            height = 100 * part / top if top else 0.0
            y -= height
            pieces.append(Piece(kind, x, y, width, height))
        label = day.day[5:] if at % every == 0 else ""
        columns.append(Column(label, x + width / 2, day.tip, [piece for piece in pieces if piece.height > 0], x, width))
    return Plot(title, written(top), legend, columns)


def _tokens_day(day: str, one: Sums) -> _Day:
    tip = (
        f"{day}\n{counted(one.turns, 'turn')}\n{count(one.input_tokens)} tokens in, {one.cache_share} from the cache\n"
        f"{count(one.output_tokens)} tokens out"
    )
    new = one.input_tokens - one.cached_tokens
    return _Day(day, [("cached", one.cached_tokens), ("new", new), ("output", one.output_tokens)], tip)


def _cost_day(day: str, rows: Sequence[Total], colours: Mapping[str, str]) -> _Day:
    tip = "\n".join([day, *(f"{row.model or '?'}: {money(row.cost)}" for row in rows)])
    return _Day(day, [(colours[row.model], row.cost or 0.0) for row in rows], tip)
