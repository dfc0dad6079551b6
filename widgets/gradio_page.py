"""The shared demo's page in Gradio: things to try, the browser client, a table of decisions, the session to take home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gradio

from widgets.client import module, style_sheet, themed

HERE = Path(__file__).parent
SOURCES = {"gradio_page.js": "text/javascript", "gradio_page.css": "text/css"}
ASSETS = ("talk.js", *SOURCES)  # served beside the page
ON_LOAD = """
const root = location.pathname.replace(/\\/?$/, "/") + "microturn/", place = element.querySelector(".mt-shared");
import(root + "gradio_page.js")
  .then((page) => page.build(place, { root, tries: JSON.parse(JSON.stringify(props.tries)) }))
  .catch((error) => place.append(`The page could not be built (${error.message}). Load it again, or use another browser.`));
"""
LOG_OUT = '<a href="logout">Log out</a>'
TEMPLATE = """<div class="microturn mt-shared"><header>LOG_OUT<h1>Talk with an interaction model</h1>
<p>It has no turns: every 200&nbsp;ms it hears you, decides, and speaks or stays silent, also while you speak. It knows a small world of
numbers, colours and a few requests; try what stands here, and watch on the timeline why it does what it does.</p></header></div>"""


@dataclass(frozen=True, kw_only=True)
class Try:
    """Something to try with the agent: what to say, one line after the other, and what to watch.

    `family` is the family of situations in which the agent learned it. `typed` says whether the lines do the same when they are typed,
    `slow` whether somebody has to be there in the background who does the work.
    """

    family: str
    title: str
    say: tuple[str, ...]
    watch: str
    typed: bool = False
    slow: bool = False


TRIES = (
    Try(
        family="stop",
        title="Count to twenty, let me stop you",
        say=("count to twenty", "stop"),
        watch="Say “stop” in the middle. p(yield) shoots up, the word breaks off, and what was not yet played is struck out.",
        typed=True,
    ),
    Try(
        family="answer",
        title="A sum",
        say=("what is two plus three",),
        watch="How soon after your last word p(speak) crosses its threshold.",
        typed=True,
    ),
    Try(
        family="self_correction",
        title="Change your mind",
        say=("what is two plus three no i mean two plus six",),
        watch="It answers the second question, once.",
        typed=True,
    ),
    Try(
        family="think_pause",
        title="Think in the middle",
        say=("what is four plus", "uh", "five"),
        watch="Pause for a second after each line: the floor stays yours, p(speak) stays down until the question is whole.",
    ),
    Try(
        family="timer",
        title="A timer",
        say=("say now in five seconds",),
        watch="Stay silent: it speaks up by itself, on time.",
        typed=True,
    ),
    Try(
        family="backchannel",
        title="Mhm does not stop it",
        say=("count to ten", "mhm"),
        watch="Murmur while it counts. The floor turns to dual, and the count goes on.",
    ),
    Try(
        family="translate",
        title="Translate while I speak",
        say=("translate into spanish", "red", "three", "good morning"),
        watch="Say the words one after the other, without waiting for it: both of you speak at once.",
    ),
    Try(
        family="along",
        title="Count with me",
        say=("count with me to ten", "one", "two", "three"),
        watch="Begin alone, evenly. It joins in at your pace and keeps it.",
    ),
    Try(
        family="warning",
        title="Warn me",
        say=("warn me when it passes ten", "eight", "nine", "twelve"),
        watch="Read the numbers slowly. It keeps silent until one is over ten.",
    ),
    Try(
        family="look_up",
        title="Have something worked out",
        say=("what is three times four",),
        watch="It says “okay” and hands the product over: the lane “background” shows the task. What came of it is said in a pause.",
        slow=True,
    ),
    Try(
        family="meanwhile",
        title="Talk on while it looks up anna",
        say=("look up anna", "what is two plus three"),
        watch="Ask the sum at once: it is answered while anna is looked up. What was found is said in the next pause, or “sorry”.",
        slow=True,
    ),
)

LOOK: dict[str, Any] = {
    "theme": gradio.themes.Base(
        font=["Inter", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ),
    "head": '<link rel="stylesheet" href="microturn/gradio_page.css">',
}


def page(families: Sequence[str] | None = None, *, slow: bool = False, logins: bool = False) -> gradio.Blocks:
    """The page, with what is `offered` of these families. Its script and styles are at `microturn/` beside it: see `asset`."""
    template = TEMPLATE.replace("LOG_OUT", LOG_OUT if logins else "")
    blocks: gradio.Blocks = gradio.Blocks(title="Microturn", analytics_enabled=False)
    with blocks:
        gradio.HTML(
            html_template=template,
            js_on_load=ON_LOAD,
            apply_default_css=False,
            tries=[asdict(each) for each in offered(families, slow=slow)],
        )
    return blocks


def offered(families: Sequence[str] | None = None, *, slow: bool = False) -> list[Try]:
    """The tries of these families (default: all), those of slow work only if there is somebody who does it."""
    known = [each for each in TRIES if families is None or each.family in families]
    return [each for each in known if slow or not each.slow]


def asset(name: str) -> tuple[str, str]:
    """Media type and text of one of `ASSETS`."""
    if name == "talk.js":
        return "text/javascript", module()
    text = (HERE / name).read_text(encoding="utf-8")
    return SOURCES[name], style_sheet() + themed("body:not(.dark)", "body.dark") + text if name.endswith(".css") else text
