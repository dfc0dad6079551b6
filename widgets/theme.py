"""One colour per stream, told apart by colour-blind readers too (palette of Okabe and Ito, 2008), on light or dark ground."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE, GREY = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#9AA3AD"

_LIGHT_FLOOR = MappingProxyType({"idle": "#E3E7EC", "listen": "#BFE1F6", "speak": "#F4B183", "wait": "#F6DE9C", "dual": "#DDA9C6"})
_DARK_FLOOR = MappingProxyType({"idle": "#2C323B", "listen": "#1F5E86", "speak": "#A14A0B", "wait": "#5A4A1C", "dual": "#8B4A6C"})


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Every colour the pictures use; a picture asks for a meaning (`user`, `threshold`), never for a colour."""

    name: str
    page: str
    lane: str
    ink: str
    muted: str
    grid: str
    grid_minor: str
    on_colour: str = "#FFFFFF"  # text on a saturated box
    user: str = BLUE
    heard: str = GREEN
    other: str = GREY  # bystanders
    agent: str = VERMILION
    threshold: str = "#B97A00"
    gate: str = ORANGE
    yielded: str = "#B0578D"
    cost: str = SKY
    floor: Mapping[str, str] = field(default_factory=lambda: _LIGHT_FLOOR)
    font: str = "Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, sans-serif"

    def floor_colour(self, state: str) -> str:
        """The colour of a floor state; that of idle for a state this version does not know."""
        return self.floor.get(state, self.floor["idle"])


LIGHT = Theme(name="light", page="#FFFFFF", lane="#F7F9FB", ink="#1F2933", muted="#5F6C7B", grid="#D5DCE3", grid_minor="#EAEEF2")
DARK = Theme(
    name="dark",
    page="#14181E",
    lane="#1B2028",
    ink="#E8ECF1",
    muted="#9DA9B7",
    grid="#39424E",
    grid_minor="#262D36",
    user=SKY,
    heard="#2BC79A",
    other="#77828E",
    agent="#F07F2E",
    threshold=ORANGE,
    yielded="#E59AC4",
    on_colour="#10141A",
    floor=_DARK_FLOOR,
)


def faded(colour: str, opacity: float) -> str:
    """`#RRGGBB` as `rgba(...)` with the given opacity (0 to 1)."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def exchanged(one: Theme, other: Theme) -> Iterator[tuple[str, str]]:
    """Colours of one theme with those of the other in their place, as `#RRGGBB` and as the beginning of `rgba(...)`."""
    pairs: dict[str, str] = {}
    for name in (each.name for each in fields(one)):
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, str) and mine.startswith("#"):
            pairs.setdefault(mine, theirs)
        elif isinstance(mine, Mapping):
            for key, colour in mine.items():
                pairs.setdefault(colour, theirs[key])
    yield from pairs.items()
    yield from ((_beginning(mine), _beginning(theirs)) for mine, theirs in pairs.items())


def _beginning(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},"
