"""Statistics of each model: turns, tokens, cache share, cost, speed, errors. Their memory is bounded."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from responses_gateway.inspection.recording.summary import speed
from responses_gateway.inspection.text import percent, tokens
from responses_gateway.protocol.json import JsonObject

SAMPLES = 1000
"""Latest turns of a model whose times count for its percentiles."""

MODELS = 200
"""Models that are told apart."""

_COLUMNS = (
    "model",
    "turns",
    "errors",
    "input",
    "cached",
    "output",
    "cost",
    "first token p50",
    "p95",
    "tokens/s p50",
    "p95",
)


def _samples() -> deque[float]:
    return deque(maxlen=SAMPLES)


@dataclass
class ModelStatistics:
    """Sums and samples of one model."""

    turns: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """US dollars; None when no price is known."""

    first_token: deque[float] = field(default_factory=_samples)
    """Seconds."""

    speed: deque[float] = field(default_factory=_samples)
    """Output tokens per second."""

    def add(self, facts: JsonObject) -> None:
        usage = facts["usage"]
        self.turns += 1
        self.errors += facts["status"] in ("failed", "cut")
        self.input_tokens += usage.get("input_tokens", 0)
        self.cached_tokens += (usage.get("input_tokens_details") or {}).get("cached_tokens", 0)
        self.output_tokens += usage.get("output_tokens", 0)
        if facts["cost"] >= 0:
            self.cost = (self.cost or 0.0) + facts["cost"]
        if facts["first_token"] >= 0:
            self.first_token.append(facts["first_token"] / 1000)
        if rate := speed(facts):
            self.speed.append(rate)

    def row(self, model: str) -> tuple[str, ...]:
        return (
            model,
            str(self.turns),
            str(self.errors),
            tokens(self.input_tokens),
            percent(self.cached_tokens / self.input_tokens) if self.input_tokens else "–",
            tokens(self.output_tokens),
            "–" if self.cost is None else f"${self.cost:.4f}",
            *(_shown(percentile(self.first_token, rank), "s") for rank in (50, 95)),
            *(_shown(percentile(self.speed, rank), "") for rank in (50, 95)),
        )


class Statistics:
    """The turns that ended, by model."""

    def __init__(self) -> None:
        self._models: dict[str, ModelStatistics] = {}

    def add(self, facts: JsonObject) -> None:
        """One turn, by its recorder's facts."""
        name = facts["upstream_model"] or facts["model"] or "(none)"
        if name not in self._models and len(self._models) >= MODELS:
            name = "(others)"
        self._models.setdefault(name, ModelStatistics()).add(facts)

    def table(self) -> list[str]:
        """A line for each model, and the headings."""
        rows = [_COLUMNS, *(self._models[name].row(name) for name in sorted(self._models))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        return [_line(row, widths) for row in rows]


def percentile(samples: Iterable[float], rank: int) -> float | None:
    """The nearest-rank percentile; None without samples."""
    ordered = sorted(samples)
    return ordered[max(0, -(-rank * len(ordered) // 100) - 1)] if ordered else None


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (
        cell.ljust(width) if at == 0 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _shown(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.1f}{unit}"
