"""What a scoreboard says, as plain tables: numbers with their intervals, and behind each the sessions that it counts, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeAlias

from workbench.clock import ClockSpec
from workbench.evaluate import Episode, Report
from workbench.playing import Job
from workbench.scenarios import FAMILIES
from workbench.scoring.delegation import PER_SOLVED
from workbench.scoring.people import told
from workbench.scoring.score import Outcome
from workbench.scoring.summary import LATENCIES, RATES, Latency, Rate
from workbench.suites import SUITES
from workbench.sweeps import Sweep
from workbench.trace import Trace

LISTED = 10  # sessions behind a number that are named, the worst; how many there are is said
SPELLED = 6  # words of a sentence that are all written
WELL = 3  # of those at most, where nothing went wrong
ALONE = ("both right", "meaning", "timing")  # what one agent's families are told by
AS_IT_IS = "as it is"  # the label of an agent whose threshold was not moved
SWEPT = 2  # sessions behind one family at a point of a sweep: there are many such numbers
IN_TIME = next(rate for rate in RATES if rate.name == "replies within 1.0 s")
REPLY = next(latency for latency in LATENCIES if latency.name == "reply")
Row: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, str]  # of a point of a sweep: its curve and its label
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Column:
    """One agent: what was found (`Report.to_json`), and what there is to open.

    `episodes` are what the numbers count, without them a number opens nothing; `examples` are drawn in the page itself. Other sessions have
    a page each where `pages` (names such as `stop-6`) says so, in the folder `pages_at` as seen from the scoreboard; of the rest it says
    `absent`. `robustness` and `thresholds` are the points of the agent's sweeps; `points` are what was found at each, by its key, with what
    there is to open of it.
    """

    whole: Row
    episodes: tuple[Episode, ...] = ()
    examples: Mapping[str, Trace] = field(default_factory=dict)
    pages: frozenset[str] = frozenset()
    pages_at: str = ""
    absent: str = "its trace was not kept"
    robustness: Sequence[Row] = ()
    thresholds: Sequence[Row] = ()
    points: Mapping[Key, Column] = field(default_factory=dict)

    @classmethod
    def of(cls, report: Report, *, robustness: Sweep | None = None, thresholds: Sweep | None = None) -> Column:
        """The column of a report and its sweeps. Episodes in which something went wrong come first, and so in every list."""
        rows = {name: () if sweep is None else sweep.to_json()["points"] for name, sweep in (("r", robustness), ("t", thresholds))}
        points = {
            (point.setting.curve, point.setting.label): cls(
                whole=point.whole, episodes=_worst_first(point.episodes), examples=point.examples
            )
            for sweep in (robustness, thresholds)
            if sweep is not None
            for point in sweep.points
        }
        return cls(
            whole=report.to_json(),
            episodes=_worst_first(report.episodes),
            examples=report.examples,
            robustness=rows["r"],
            thresholds=rows["t"],
            points=points,
        )

    @property
    def name(self) -> str:
        """The name under which it was judged; of an agent that was judged in memory its kind."""
        spec = self.whole["config"].get("agent", {})
        return str(spec.get("kind") or spec.get("class") or "agent") if self.whole["agent"] == "agent" else str(self.whole["agent"])

    def seconds(self, evidence: Sequence[int]) -> float | None:
        """When the first of these ticks was; None without any."""
        clock = next((trace.header.clock for trace in self.examples.values()), ClockSpec())
        return clock.seconds(evidence[0]) if evidence else None

    def seen_from(self, folder: str) -> Column:
        """The same for a scoreboard that sees the folders of its pages in `folder`."""
        points = {key: point.seen_from(folder) for key, point in self.points.items()}
        return replace(self, pages_at=f"{folder}/{self.pages_at}" if self.pages_at else "", points=points)


def _worst_first(episodes: Iterable[Episode]) -> tuple[Episode, ...]:
    return tuple(sorted(episodes, key=lambda episode: not episode.failed))


@dataclass(frozen=True)
class At:
    """A session that a number counts: where to look (None: at its beginning), whether it went as it should (None: no rule), a word."""

    family: str
    seed: int
    at_s: float | None
    good: bool | None
    text: str = ""

    @property
    def job(self) -> Job:
        return self.family, self.seed


@dataclass(frozen=True, kw_only=True)
class Number:
    """What stands in a cell, and behind it: `listed` are the worst of `sessions`.

    `column` is whose sessions they are, a place in `opened`. `point` names the points of figures that open the same.
    """

    column: int
    text: str
    small: str = ""
    about: str = ""
    share: float | None = None  # of 1, where it is a share
    ci95: tuple[float, float] | None = None
    sessions: int = 0
    listed: tuple[At, ...] = ()
    point: str = ""


@dataclass(frozen=True)
class Line:
    """A row: its name and numbers, small print beside the name, and what it unfolds into: a sentence and rows of parts of it."""

    name: str
    cells: Sequence[Number | None]
    note: str = ""
    about: str = ""
    parts: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows under a title. `parts` of a row are in no other."""

    title: str
    heads: Sequence[str]
    lines: Sequence[Line]
    about: str = ""

    def numbers(self) -> Iterator[Number]:
        """Every number of it, those of parts too."""
        for line in self.lines:
            yield from (number for one in (line, *line.parts) for number in one.cells if number is not None)


def tables(columns: Sequence[Column]) -> list[Table]:
    """Everything that is known of one agent, or of several beside each other; without rows that have no number, and empty tables."""
    suites = dict.fromkeys(name for column in columns for name in column.whole.get("suites", {}))
    made = [_families(columns), _rates(columns), _latencies(columns), _words(columns), _costs(columns)]
    made += [_suite(columns, name) for name in suites]
    known = (replace(table, lines=[line for line in table.lines if any(line.cells)]) for table in made)
    return [table for table in known if table.lines]


def listed(tables: Iterable[Table], column: int = 0) -> list[Job]:
    """The sessions that the numbers of a column name."""
    return list(dict.fromkeys(at.job for table in tables for number in table.numbers() if number.column == column for at in number.listed))


def opened(columns: Sequence[Column]) -> list[Column]:
    """All that numbers open sessions of: the columns, and after them the points of their sweeps."""
    return [*columns, *(point for column in columns for point in column.points.values())]


def _places(columns: Sequence[Column]) -> dict[tuple[int, Key], int]:
    """Where the points of each column are in `opened`."""
    keys = [(place, key) for place, column in enumerate(columns) for key in column.points]
    return {key: at for at, key in enumerate(keys, len(columns))}


def point_name(agent: str, row: Row, what: str = "both") -> str:
    """A point of a figure, by which the number is found that opens the same: `what` is both, in time, restraint or a family."""
    return "|".join((agent, str(row.get("curve", "")), str(row["label"]), what))


def sweep_tables(columns: Sequence[Column]) -> list[Table]:
    """What the points of all sweeps say."""
    robust = [robustness_table(columns)] if any(column.robustness for column in columns) else []
    return [*robust, *(thresholds_table(columns, place) for place, column in enumerate(columns) if column.thresholds)]


def robustness_table(columns: Sequence[Column]) -> Table:
    """The mean of the families under every condition, for those that were swept; a condition unfolds into its families."""
    swept = [{(row["curve"], row["label"]): row for row in column.robustness} for column in columns]
    lines = []
    for key in dict.fromkeys(key for rows in swept for key in rows):
        rows = [found.get(key) for found in swept]
        names = dict.fromkeys(name for row in rows if row for name in row["families"])
        parts = [Line(_spaced(name), _under(columns, rows, key, name)) for name in names] if len(names) > 1 else []
        curve, label = key
        lines.append(Line(label if curve == label else f"{curve}: {label}", _under(columns, rows, key), parts=tuple(parts)))
    return Table(
        "Robustness, both right", _heads(columns, "both right"), lines, "The mean of the families, and each where a condition unfolds."
    )


def _under(columns: Sequence[Column], rows: Sequence[Row | None], key: Key, family: str = "") -> list[Number | None]:
    """The mean of the families at one point of every column, or one family; without a family that was not played there."""
    places, cells = _places(columns), list[Number | None]()
    for place, (column, row) in enumerate(zip(columns, rows, strict=True)):
        known = row is not None and (not family or row["families"].get(family, NOTHING).get("n"))
        if row is None or not known:
            cells.append(None)
            continue
        point, at = column.points.get(key, Column(whole=row)), places.get((place, key), place)
        if family:
            found = [(e, o) for e in point.episodes if e.family == family for o in e.outcomes]
            number = _expected(at, point, row["families"][family], "both", found)
            number = number and replace(number, listed=number.listed[:SWEPT])
        else:
            number = _mean(at, row, _everything(point, list(row["families"])))
        cells.append(number and replace(number, point=point_name(column.name, row, family or "both")))
    return cells


def thresholds_table(columns: Sequence[Column], place: int) -> Table:
    """What every threshold of one column gives and takes."""
    column, places, lines = columns[place], _places(columns), []
    for row in column.thresholds:
        key = (row["curve"], row["label"])
        point, at = column.points.get(key, Column(whole=row)), places.get((place, key), place)
        median, late = _late(at, point, REPLY, alone=True)
        cells = {
            "both": _mean(at, row, _everything(point, list(row["families"]))),
            "in time": _rate(at, point, IN_TIME),
            "median": median,
            "late": late,
            "restraint": _restraint(at, point),
        }
        named = [number and replace(number, point=point_name(column.name, row, what)) for what, number in cells.items()]
        lines.append(Line(f"threshold {row['label']}", named))
    title = f"Thresholds, {column.name}" if len(columns) > 1 else "Thresholds"
    heads = ("both right", IN_TIME.name, "reply, median", "reply, 95th percentile", "episodes without a false start")
    return Table(title, heads, lines)


# Tables ----------------------------------------------------------------------------------------------------------------------


def _heads(columns: Sequence[Column], *alone: str) -> tuple[str, ...]:
    return alone if len(columns) == 1 else tuple(column.name for column in columns)


def _families(columns: Sequence[Column]) -> Table:
    """The mean, then the families, first those in which the agents do worst; one agent's are told by meaning and timing too."""
    wholes = [column.whole["families"] for column in columns]
    names = sorted(dict.fromkeys(name for whole in wholes for name in whole), key=lambda name: (_average(wholes, name), name))
    keys = ("both", "meaning", "timing") if len(columns) == 1 else ("both",)

    def line(name: str, *, tag: str = "") -> Line:
        cells = []
        for place, column in enumerate(columns):
            row = column.whole["families"].get(name, NOTHING)
            row = row.get("tags", {}).get(tag) if tag else row
            found = [(e, o) for e in column.episodes if e.family == name for o in e.outcomes if not tag or tag in o.tags]
            cells += [_expected(place, column, row, key, found) for key in keys]
        return Line(_spaced(tag or name), cells)

    def whole(name: str) -> Line:
        return replace(line(name), about=_summary_of(name), parts=tuple(line(name, tag=tag) for tag in _tags(wholes, name)))

    everything = [_everything(column, names) for column in columns]
    means = [_mean(place, column.whole, everything[place]) for place, column in enumerate(columns)]
    count = "one family" if len(names) == 1 else f"{len(names)} families"
    title = "Families" if len(columns) == 1 else "Families: meaning and timing both right"
    return Table(title, _heads(columns, *ALONE), [Line(f"mean of {count}", means), *map(whole, names)])


def _average(wholes: Sequence[Row], name: str) -> float:
    found = [float(whole[name]["both"]) for whole in wholes if name in whole]
    return sum(found) / len(found)


def _tags(wholes: Sequence[Row], name: str) -> list[str]:
    """The tags of a family, the worst first; none where there is but one."""
    tags = [whole[name].get("tags", {}) for whole in wholes if name in whole]
    names = dict.fromkeys(tag for found in tags for tag in found)
    return sorted(names, key=lambda tag: (_average(tags, tag), tag)) if len(names) > 1 else []


def _summary_of(name: str) -> str:
    return FAMILIES[name].summary if name in FAMILIES else ""


def _expected(place: int, column: Column, row: Row | None, key: str, found: Sequence[tuple[Episode, Outcome]]) -> Number | None:
    """A share of expectations: of those right in `key`, which is meaning, timing or both."""
    if not row or not row["n"]:
        return None
    moments = [_moment(column, e, o, bool(getattr(o, key))) for e, o in found]
    about = f"{row['n']} expectations, {100 * row['meaning']:.0f} % right in meaning and {100 * row['timing']:.0f} % in timing"
    return _share(place, row[key], row["ci95"] if key == "both" else row.get(f"{key}_ci95"), row["n"], about, moments)


def _everything(column: Column, names: Sequence[str]) -> list[At]:
    """Every expectation, by families in the order of `names`."""
    order = {name: at for at, name in enumerate(names)}
    episodes = sorted(column.episodes, key=lambda e: order.get(e.family, 0))
    return [_moment(column, e, o, o.both) for e in episodes for o in e.outcomes]


def _mean(place: int, row: Row | None, moments: Sequence[At]) -> Number | None:
    if row is None:
        return None
    return _share(place, row["mean_both"], row["mean_ci95"], row["episodes"], "the mean over families", moments)


def _rates(columns: Sequence[Column]) -> Table:
    lines = [Line(rate.name, [_rate(place, column, rate) for place, column in enumerate(columns)]) for rate in RATES]
    restraint = []
    for place, column in enumerate(columns):
        point = point_name(column.name, {"label": AS_IT_IS}, "restraint")
        restraint.append(replace(_restraint(place, column), point=point))
    return Table("Rates", _heads(columns, "share"), [*lines, Line("episodes without a false start", restraint)])


def _rate(place: int, column: Column, rate: Rate) -> Number | None:
    row = column.whole["rates"].get(rate.name)
    if row is None:
        return None
    moments = [_moment(column, e, o, rate.hits(o)) for e in column.episodes for o in e.outcomes if rate.counts(o)]
    return _share(place, row["value"], row["ci95"], row["n"], f"{row['n']} cases", moments)


def _restraint(place: int, column: Column) -> Number:
    row = column.whole["restraint"]
    return _share(place, row["value"], row["ci95"], row["n"], f"{row['n']} episodes", _unasked(column, None))


def _latencies(columns: Sequence[Column]) -> Table:
    lines = []
    for latency in LATENCIES:
        cells = [cell for place, column in enumerate(columns) for cell in _late(place, column, latency, alone=len(columns) == 1)]
        lines.append(Line(_spaced(latency.name), cells, note=f"from {latency.start} to {latency.end}{_people(told(latency.people))}"))
    return Table("Latencies", _heads(columns, "median", "95th percentile"), lines)


def _late(place: int, column: Column, latency: Latency, *, alone: bool) -> list[Number | None]:
    """Median and 95th percentile; behind them the cases, the slowest first."""
    cases = ((value, e, o) for e in column.episodes for o in e.outcomes if (value := latency.value(o)) is not None)
    slowest = sorted(cases, key=lambda case: -case[0])
    moments = [At(e.family, e.seed, column.seconds(o.evidence), None, f"{value:.2f} s") for value, e, o in slowest]
    return _times(place, column.whole["latency_s"].get(latency.name), moments, alone=alone)


def _times(place: int, row: Row | None, moments: Sequence[At], *, alone: bool) -> list[Number | None]:
    """The median and, of one agent alone, the 95th percentile in a cell of its own."""
    if row is None:
        return [None, None] if alone else [None]
    median = _told(Number(column=place, text=f"{row['median']:.2f} s", about=f"{row['n']} cases"), moments)
    ends = {key: f"{row[key][0]:.2f} to {row[key][1]:.2f}" for key in ("ci95", "p95_ci95") if row.get(key)}
    late = replace(median, text=f"{row['p95']:.2f} s", small=ends.get("p95_ci95", ""))
    small = [ends["ci95"]] if "ci95" in ends else []
    small += [f"95 % within {late.text}" + (f" ({late.small})" if late.small else "")] if not alone else []
    median = replace(median, small=", ".join([*small, f"n {row['n']}"]))
    return [median, late] if alone else [median]


def _words(columns: Sequence[Column]) -> Table:
    """Words that nobody asked for, by when they were said, and words that were misheard."""
    kinds = dict.fromkeys(kind for column in columns for kind in column.whole["false_starts"])
    lines = [Line("word error rate of what it heard", [_heard(place, column) for place, column in enumerate(columns)])]
    for kind in kinds:
        cells = []
        for place, column in enumerate(columns):
            number, ends = column.whole["false_starts"].get(kind, 0), column.whole.get("false_starts_ci95", NOTHING).get(kind)
            small = f"{ends[0]:.0f} to {ends[1]:.0f}, in" if ends else "in"
            text, small = f"{number} {'word' if number == 1 else 'words'}", f"{small} {column.whole['episodes']} episodes"
            plain = Number(column=place, text=text, small=small, about="words that nobody asked for")
            cells.append(_told(plain, _unasked(column, kind)))
        lines.append(Line(f"false starts {kind}", cells))
    return Table("False starts and hearing", _heads(columns, "found"), lines)


def _heard(place: int, column: Column) -> Number | None:
    row = column.whole["heard_words"]
    if row["word_error_rate"] is None:
        return None
    worst = sorted((e for e in column.episodes if e.heard.words), key=lambda e: -e.heard.errors)
    moments = [At(e.family, e.seed, None, not e.heard.errors, f"{e.heard.errors} errors in {e.heard.words} words") for e in worst]
    small = f"{_ends(row.get('ci95'))}of {row['words']} words"
    plain = Number(column=place, text=_percent(row["word_error_rate"]), small=small, about=f"{row['errors']} errors")
    return _told(plain, moments)


def _unasked(column: Column, kind: str | None) -> list[At]:
    """The episodes by how many words nobody asked for, of a kind or of any, the most first."""
    found = [(sum(e.false_starts.values()) if kind is None else e.false_starts.get(kind, 0), e) for e in column.episodes]
    worst = sorted(found, key=lambda each: -each[0])
    return [At(e.family, e.seed, None, not n, f"{n} {'word' if n == 1 else 'words'} that nobody asked for") for n, e in worst]


def _costs(columns: Sequence[Column]) -> Table:
    """What a solved task took, of the scores of the background suite."""
    about = "All that the sessions took in which a result was wanted, by the results that were said rightly and in time."
    lines = _measured(columns, "background", lambda name: name.startswith(PER_SOLVED), _cost)
    short = [replace(line, name=line.name.removeprefix(PER_SOLVED)) for line in lines]
    return Table("Cost per solved task", _heads(columns, "per solved task"), short, about)


def _cost(rows: Sequence[Row | None]) -> list[Number | None]:
    counts = ("" if row is None else f"{row['n']} solved in {row['sessions']} sessions" for row in rows)
    return [None if row is None else _score(place, row, 2, count) for place, (row, count) in enumerate(zip(rows, counts, strict=True))]


def _suite(columns: Sequence[Column], name: str) -> Table:
    about = SUITES[name].about if name in SUITES else ""
    lines = _measured(columns, name, lambda score: not score.startswith(PER_SOLVED), _scores)
    return Table(f"Suite {name}", _heads(columns, "score"), lines, about)


def _measured(
    columns: Sequence[Column], suite: str, wanted: Callable[[str], bool], cells: Callable[[Sequence[Row | None]], list[Number | None]]
) -> list[Line]:
    """The scores of a suite whose names are wanted."""
    scores = [column.whole.get("suites", {}).get(suite, ()) for column in columns]
    found = [{row["name"]: row for row in rows if wanted(row["name"]) and row["value"] is not None} for rows in scores]
    names = dict.fromkeys(name for rows in found for name in rows)
    lines = []
    for name in names:
        there = [rows.get(name) for rows in found]
        setup = next((row.get("setup", NOTHING) for row in there if row), NOTHING)
        lines.append(Line(name, cells(there), note=_people(setup.get("people") or ()).removeprefix("; ")))
    return lines


def _people(bands: Sequence[Row]) -> str:
    """How people do, after what stands beside the name of a row."""
    return f"; people: {'; '.join(band['short'] for band in bands)}" if bands else ""


def _scores(rows: Sequence[Row | None]) -> list[Number | None]:
    """One score of every agent, with as many decimals for all: three, or one where any is large and no seconds (percents, ms)."""
    decimals = 1 if any(row and row["unit"] != "s" and abs(row["value"]) >= 10 for row in rows) else 3
    return [None if row is None else _score(place, row, decimals, f"n {row['n']}") for place, row in enumerate(rows)]


def _score(place: int, row: Row, decimals: int, count: str) -> Number:
    interval = " to ".join(f"{end:,.{decimals}f}" for end in row["interval"]) if row["interval"] else ""
    moments = []
    for moment in row["moments"]:
        family, _, seed = moment["session"].rpartition("-")
        moments.append(At(family, int(seed), moment["start_s"], None, f"to {moment['end_s']:.1f} s"))
    about = f"{row['explanation']}; {row['n']} cases in {row['sessions']} sessions"
    text = f"{row['value']:,.{decimals}f} {row['unit']}".rstrip()
    return _told(Number(column=place, text=text, small=", ".join(part for part in (interval, count) if part), about=about), moments)


# Numbers ---------------------------------------------------------------------------------------------------------------------


def _share(place: int, value: float, ci95: Sequence[float] | None, n: int, about: str, moments: Sequence[At]) -> Number:
    ends = (float(ci95[0]), float(ci95[1])) if ci95 else None
    plain = Number(column=place, text=_percent(value), small=f"{_ends(ci95)}n {n}", about=about, share=value, ci95=ends)
    return _told(plain, moments)


def _ends(ci95: Sequence[float] | None) -> str:
    """The interval of a share, before what follows it; nothing where there is none."""
    return f"{100 * ci95[0]:.0f} to {100 * ci95[1]:.0f}, " if ci95 else ""


def _told(number: Number, moments: Sequence[At]) -> Number:
    """The number with the sessions of these moments behind it: failures first, then as they come, one line a session."""
    by_session: dict[Job, list[At]] = {}
    for at in sorted(moments, key=lambda at: at.good is True):
        by_session.setdefault(at.job, []).append(at)
    lines = [_in_one(found) for found in by_session.values()]
    well = [at for at in lines if at.good][:WELL]
    return replace(number, sessions=len(lines), listed=tuple([at for at in lines if not at.good] + well)[:LISTED])


def _in_one(moments: Sequence[At]) -> At:
    """One line for the moments of a session: the first, and how many more there are."""
    first, *more = moments
    if not more:
        return first
    failed = sum(at.good is False for at in moments)
    count = f"{failed} of {len(moments)} missed" if failed else f"one of {len(moments)}"
    return replace(first, text=f"{first.text} ({count})")


def _moment(column: Column, episode: Episode, outcome: Outcome, good: bool) -> At:
    text = f"{outcome.what}: wanted {_shortly(outcome.wanted) or 'silence'}, got {_shortly(outcome.said) or 'nothing'}"
    return At(episode.family, episode.seed, column.seconds(outcome.evidence), good, text)


def _shortly(words: Sequence[str]) -> str:
    """Words in a line, of many the first and the last."""
    return " ".join(words if len(words) <= SPELLED else (*words[:2], "…", words[-1]))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _spaced(name: str) -> str:
    return name.replace("_", " ")
