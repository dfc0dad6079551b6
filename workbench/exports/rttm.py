"""RTTM of the NIST rich transcription evaluations: who sounds when, one line a stretch, as diarisation tools read it.

`SPEAKER <file> 1 <start> <length> <NA> <NA> <speaker> <NA> <NA>`, seconds. Words of one speaker no further apart than JOIN_S are one
stretch; what people said is known from the truth where there is one, else from what the agent heard. Fields are parted by spaces, so that
those in a speaker's name become "_". Where nobody speaks one line without times (`SPKR-INFO`) names the file, so that readers find it.
"""

from __future__ import annotations

from pathlib import Path

from workbench.scoring.fdb_sample import joined
from workbench.spoken import TYPING, spoken_words
from workbench.trace import Trace

JOIN_S = 0.2
NAME = "session"
FILES = (f"{NAME}.rttm",)


def write_rttm(trace: Trace, folder: Path) -> list[Path]:
    """One file, session.rttm, in order of time; what was typed makes no sound and is left out."""
    words = [word for word in spoken_words(trace) if word.speaker != TYPING and word.end_s > word.start_s]
    speakers = dict.fromkeys(word.speaker for word in words)
    spans = [(span, who) for who in speakers for span in joined([(w.start_s, w.end_s) for w in words if w.speaker == who], JOIN_S)]
    rounded = [(round(start_s * 1000), round(end_s * 1000), who) for (start_s, end_s), who in sorted(spans)]
    lines = [
        f"SPEAKER {NAME} 1 {start / 1000:.3f} {(end - start) / 1000:.3f} <NA> <NA> {_field(who)} <NA> <NA>\n"
        for start, end, who in rounded
        if end > start
    ]
    path = folder / FILES[0]
    path.write_text("".join(lines) or f"SPKR-INFO {NAME} 1 <NA> <NA> <NA> unknown <NA> <NA> <NA>\n", encoding="utf-8")
    return [path]


def _field(name: str) -> str:
    """A speaker's name as one field."""
    return "_".join(name.split()) or "unknown"
