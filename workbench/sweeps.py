"""One evaluation repeated while one thing changes: the condition it is heard under, or the agent's threshold for speaking."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.evaluate import Episode, Report
from workbench.trace import Trace

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Setting:
    """One place on a curve: the curve's name, what its axis says there, and the text of the condition or threshold."""

    curve: str
    label: str
    text: str


AS_DRAWN = "as drawn"
ROBUSTNESS: tuple[Setting, ...] = (
    Setting(AS_DRAWN, AS_DRAWN, ""),
    *(Setting("babble, SNR", f"{db} dB", f"snr:{db}") for db in (20, 10, 5, 0)),
    *(Setting("pink noise, SNR", f"{db} dB", f"snr:{db}:pink") for db in (10, 0)),
    *(Setting("packets lost", f"{percent} %", f"loss:{percent}") for percent in (1, 5, 10)),
    *(Setting("jitter", f"{ms} ms", f"jitter:{ms}") for ms in (40, 120)),
    Setting("band and room", "3.4 kHz", "band:3400"),
    Setting("band and room", "RT60 0.5 s", "room:0.5"),
    *(Setting("echo of itself", f"{db} dB", f"echo:{db}") for db in (-30, -20, -10)),
)
THRESHOLDS: tuple[Setting, ...] = tuple(Setting("threshold", f"{tenths / 10:g}", f"{tenths / 10:g}") for tenths in range(2, 10))


@dataclass(frozen=True)
class Point:
    """What an evaluation said (`workbench.evaluate.Report.to_json`) at one setting, its sessions, and the traces that it has at hand."""

    setting: Setting
    whole: Mapping[str, Any]
    episodes: tuple[Episode, ...] = ()
    examples: Mapping[str, Trace] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """Evaluations of the same episodes at every setting of one or more curves."""

    name: str
    points: tuple[Point, ...]

    @classmethod
    def of(cls, name: str, settings: Sequence[Setting], reports: Sequence[Report]) -> Sweep:
        """The sweep of one report a setting, in the order of the settings."""
        told = zip(settings, reports, strict=True)
        return cls(name, tuple(Point(setting, one.to_json(), tuple(one.episodes), one.examples) for setting, one in told))

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object: `points`, each with its curve, label and setting beside the whole report."""
        rows = [{"curve": p.setting.curve, "label": p.setting.label, "setting": p.setting.text, **p.whole} for p in self.points]
        return {"sweep": self.name, "points": rows}

    def table(self) -> RenderableType:
        """The sweep as a table for a terminal."""
        from workbench.tables import sweep_table  # here, because importing rich draws random numbers

        return sweep_table(self.to_json())

    def write(self, path: Path) -> None:
        """Write the JSON object to a file."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")
