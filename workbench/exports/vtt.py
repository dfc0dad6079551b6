"""WebVTT captions with speakers (`<v User>`), for any video or audio player (W3C WebVTT)."""

from __future__ import annotations

from pathlib import Path

from workbench.spoken import phrases, spoken_words
from workbench.trace import Trace

FILES = ("session.vtt",)
LONGEST_CAPTION = 7  # words


def write_vtt(trace: Trace, folder: Path) -> list[Path]:
    """One file, session.vtt, with a cue per phrase and side, in order of their starts."""
    cues = ["WEBVTT\n"]
    for phrase in phrases(spoken_words(trace), most_words=LONGEST_CAPTION):
        end_s = max(phrase.end_s, phrase.start_s + 0.001)
        text = f"<v {_escaped(phrase.speaker[:1].upper() + phrase.speaker[1:])}>{_escaped(phrase.text)}"
        cues.append(f"{_stamp(phrase.start_s)} --> {_stamp(end_s)}\n{text}\n")
    path = folder / FILES[0]
    path.write_text("\n".join(cues), encoding="utf-8")
    return [path]


def _stamp(seconds: float) -> str:
    whole_ms = round(seconds * 1000)
    return f"{whole_ms // 3_600_000:02}:{whole_ms // 60_000 % 60:02}:{whole_ms // 1000 % 60:02}.{whole_ms % 1000:03}"


def _escaped(text: str) -> str:
    """On one line, with what the format reads as mark-up as entities."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
