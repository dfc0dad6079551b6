"""The browser client as two texts: one module of JavaScript and one style sheet, for a notebook, a Gradio page or a Panel component.

The sources are plain ES modules; joined in the order of their imports they are one module without any.
"""

from __future__ import annotations

import re
from pathlib import Path

from widgets.theme import DARK, LIGHT, Theme

HERE = Path(__file__).parent
SOURCES = ("carriers.js", "sound.js", "timeline.js", "things.js", "questions.js", "talk.js")
WATCH = ("carriers.js", "timeline.js", "watch.js")  # the timeline alone
_LOCAL = re.compile(r'^(?:import|export) \{[^}]*\} from "\./[a-z]+\.js";\n', re.MULTILINE)
# Text in a stream's colour must be readable at its size; on white the fills themselves are too light for that.
_INKS = {
    "light": {"agent": "#A84A00", "heard": "#00704F", "gate": "#8A5D00"},
    "dark": {"agent": DARK.agent, "heard": DARK.heard, "gate": DARK.gate},
}
_RECORDING = {"light": "#C62828", "dark": "#FF6B60"}


def module() -> str:
    """The client as one ES module: exports `mount`, `connect`, the carriers, and as default an anywidget that is a Panel component too."""
    return joined(*SOURCES)


def joined(*names: str) -> str:
    """These sources as one module, each after those that it imports."""
    return "\n".join(_LOCAL.sub("", (HERE / name).read_text(encoding="utf-8")) for name in names)


def style_sheet() -> str:
    """Colours (light, dark, and those of JupyterLab's own theme) and layout of everything under the class `microturn`."""
    by_system = f".microturn {{ {variables(LIGHT)} }}\n@media (prefers-color-scheme: dark) {{ .microturn {{ {variables(DARK)} }} }}\n"
    by_lab = themed('body[data-jp-theme-light="true"]', 'body[data-jp-theme-light="false"]')
    return by_system + by_lab + (HERE / "talk.css").read_text(encoding="utf-8")


def themed(light: str, dark: str) -> str:
    """Rules that give the client the colours of a page's own theme: `light` and `dark` select an ancestor that says which one it is."""
    return "".join(f"{chosen} .microturn {{ {variables(theme)} }}\n" for chosen, theme in ((light, LIGHT), (dark, DARK)))


def page_colours() -> str:
    """The same colours for a whole page, light or dark as its reader prefers: rules for `:root`."""
    return f":root {{ {variables(LIGHT)} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}\n"


def variables(theme: Theme) -> str:
    """A theme as variables of a style sheet."""
    names = "page lane ink muted grid grid_minor on_colour user heard agent threshold gate yielded cost font".split()
    values = {name: getattr(theme, name) for name in names}
    values |= {f"floor_{state}": colour for state, colour in theme.floor.items()}
    values |= {f"{name}_ink": colour for name, colour in _INKS[theme.name].items()} | {"recording": _RECORDING[theme.name]}
    return f"color-scheme: {theme.name}; " + " ".join(f"--mt-{name.replace('_', '-')}: {value};" for name, value in values.items())
