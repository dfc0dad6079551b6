"""An agent of the user's own from the command line: a file is named, its class takes part, and every mistake in it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_workbench_cli import microturn
from workbench.adapters.own import own_agent
from workbench.errors import InputError
from workbench.events import TranscriptDelta
from workbench.packets import AGENT_TEXT
from workbench.store import read_trace

NODDER = """import numpy as np
from workbench.packets import AGENT_TEXT, USER_AUDIO, Packet
from workbench.session import Said


class Nodder:
    name, speaks, hears = "agent", (AGENT_TEXT,), (USER_AUDIO,)

    def __init__(self, word="mhm"):
        self.word = word

    def spec(self):
        return {"class": type(self).__name__, "word": self.word}

    def start(self, clock, seed):
        return clock.samples_per_tick

    def step(self, samples, tick, heard):
        loud = np.abs(heard.audio(USER_AUDIO, samples)).max() > 0.05
        return Said((Packet(AGENT_TEXT, tick, self.word),) if loud else ()), samples
"""


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_an_agent_of_a_file_takes_part_in_a_run_and_in_an_evaluation(tmp_path: Path) -> None:
    mine = written(tmp_path, NODDER)
    assert microturn("run", "--scenario", "stop", "--seed", 8, "--agent", f"own:{mine}", "--out", tmp_path / "run") == 0
    trace = read_trace(tmp_path / "run" / "trace.sqlite")
    assert trace.header.participants["agent"] == {"class": "Nodder", "word": "mhm"}
    assert {turn.text(AGENT_TEXT) for turn in trace.turns} == {"", "mhm"}
    assert microturn("evaluate", "--agent", f"own:{mine}", "--families", "answer", "--count", 2, "--out", tmp_path / "eval") == 0
    report = json.loads((tmp_path / "eval" / "evaluation.json").read_text())
    assert report["families"]["answer"]["both"] == 0.0, "it nods, and tells no word of its own as said"


def test_an_agent_that_tells_its_words_is_scored_by_them(tmp_path: Path) -> None:
    text = NODDER.replace("from workbench.session", "from workbench.events import TranscriptDelta\nfrom workbench.session").replace(
        "return Said((Packet(AGENT_TEXT, tick, self.word),) if loud else ()), samples",
        "told = TranscriptDelta(side='model', word=self.word, start_s=0.2 * tick, end_s=0.2 * tick + 0.2)\n"
        "        return Said((Packet(AGENT_TEXT, tick, self.word),), (told,)) if loud else Said(), samples",
    )
    mine = written(tmp_path, text)
    assert microturn("run", "--scenario", "stop", "--seed", 8, "--agent", f"own:{mine}", "--out", tmp_path / "run") == 0
    told = [event for _, event in read_trace(tmp_path / "run" / "trace.sqlite").events(TranscriptDelta) if event.side == "model"]
    assert {event.word for event in told} == {"mhm"}


def test_of_several_agents_in_a_file_one_is_named(tmp_path: Path) -> None:
    more = "\n\nclass Loud(Nodder):\n    pass\n\n\ndef polite():\n    return Nodder('yes')\n\n\nhere = Loud('hey')\n"
    mine = written(tmp_path, NODDER + more)
    words = [own_agent(f"{mine}:{name}").spec() for name in ("Nodder", "Loud", "polite", "here")]
    assert words == [{"class": c, "word": w} for c, w in (("Nodder", "mhm"), ("Loud", "mhm"), ("Nodder", "yes"), ("Loud", "hey"))]
    with pytest.raises(InputError, match=r"mine\.py: it has Loud, Nodder; say which: --agent own:.*mine\.py:Loud"):
        own_agent(str(mine))
    with pytest.raises(InputError, match=r"mine\.py:Quiet: it has no 'Quiet'; there are Loud, Nodder"):
        own_agent(f"{mine}:Quiet")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, r"there is no such file; give a Python file with a class that has name, speaks, hears, spec, start and step"),
        ("x = 1\n", r"it has no agent; write a class that has name"),
        ("def f(:\n", r"its line 1 raises SyntaxError: .*; mend it, the file is run when it is read"),
        ("import nosuchthing\n", r"its line 1 raises ModuleNotFoundError: No module named 'nosuchthing'"),
        (NODDER.replace('"agent", (AGENT_TEXT,)', '"me", (AGENT_TEXT,)'), r"its name is 'me'; a session calls .* 'agent': name = 'agent'"),
        (NODDER.replace("(USER_AUDIO,)\n", "USER_AUDIO\n"), r"hears is 'user.audio'; it must be a tuple of stream names"),
        (NODDER.replace('return {"class"', 'return [1] and {1: {2}, "class"'), r"spec\(\) is not JSON"),
        (NODDER.replace('word="mhm"', "word"), r"raises TypeError: .*; it is made without arguments"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.py"
    if text is not None:
        written(tmp_path, text)
    with pytest.raises(InputError, match=told):
        own_agent(str(mine))
    assert microturn("run", "--scenario", "stop", "--agent", f"own:{mine}", "--out", tmp_path / "run") == 2
    assert f"--agent own:{mine}" in capsys.readouterr().err
