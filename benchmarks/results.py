"""What was measured: rows to compare, lines to draw, and the file of results that runs add to."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

OURS = "aigc"


@dataclass(frozen=True, slots=True)
class Bar:
    """What the ratio of ours to another's figure has to keep.

    Attributes:
        of: whose figure ours is divided by.
        at_least: whether the limit is the least; else it is the most.
    """

    of: str
    limit: float
    at_least: bool

    def holds(self, ratio: float) -> bool:
        return ratio >= self.limit if self.at_least else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


def at_least(limit: float, of: str) -> Bar:
    return Bar(of, limit, at_least=True)


def at_most(limit: float, of: str) -> Bar:
    return Bar(of, limit, at_least=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured of aigc and of others, in turns.

    Attributes:
        name: for `--only` and the file.
        what: was measured, for a person.
        unit: of the figures.
        samples: the figures of each, in the order of the rounds; aigc's come first.
        bars: what ours has to keep.
        missing: programs that were not found.
        note: conditions that a reader must know.
    """

    name: str
    what: str
    unit: str
    samples: Mapping[str, Sequence[float]]
    bars: Sequence[Bar] = ()
    missing: Sequence[str] = ()
    note: str = ""

    def median(self, label: str = OURS) -> float:
        return statistics.median(self.samples[label])

    def ratio(self, label: str) -> float:
        """Median of ours over theirs, round by round: what slows both down at once is no difference."""
        pairs = zip(self.samples[OURS], self.samples[label], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def bar(self, label: str) -> Bar | None:
        return next((bar for bar in self.bars if bar.of == label), None)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**{**fields, "bars": [Bar(**bar) for bar in fields["bars"]]})


@dataclass(frozen=True, slots=True)
class Growth:
    """How something grows, as lines of (x, y) points."""

    name: str
    what: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Sequence[float]]]
    note: str = ""


@dataclass(slots=True)
class Results:
    """One file's content: rows and lines of one model on one machine.

    Attributes:
        about: the machine, the model, the versions, the day.
        measured: seconds that each measuring took, by its name.
    """

    about: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    growth: dict[str, Growth] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)

    def add(self, measured: Row | Growth) -> None:
        """A newer measurement replaces an older one of the same name."""
        if isinstance(measured, Row):
            self.rows[measured.name] = measured
        else:
            self.growth[measured.name] = measured

    def save(self, path: Path) -> None:
        fields = {
            "about": self.about,
            "measured": self.measured,
            "rows": [asdict(row) for row in self.rows.values()],
            "growth": [asdict(growth) for growth in self.growth.values()],
        }
        path.write_text(json.dumps(rounded(fields), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            fields["about"],
            {row["name"]: Row.from_json(row) for row in fields["rows"]},
            {growth["name"]: Growth(**growth) for growth in fields["growth"]},
            fields["measured"],
        )


def rounded(value: Any) -> Any:
    """Figures with five digits: the rest is noise, and makes a file that nobody can read."""
    match value:
        case float():
            return float(f"{value:.5g}")
        case dict():
            return {key: rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [rounded(item) for item in value]
        case _:
            return value


def alternate(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure each once a round, in turns and every other round backwards."""
    labels = list(measures)
    samples: dict[str, list[float]] = {label: [] for label in labels}
    for number in range(rounds):
        for label in labels if number % 2 == 0 else reversed(labels):
            samples[label].append(measures[label]())
    return samples
