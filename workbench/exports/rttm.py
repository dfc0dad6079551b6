"""RTTM of the NIST rich transcription evaluations: who sounds when, one line a stretch, as diarisation tools read it.

`SPEAKER <file> 1 <start> <length> <NA> <NA> <speaker> <NA> <NA>`, seconds. Words of one speaker no further apart than JOIN_S are one
stretch; what people said is known from the truth where there is one, else from what the agent heard.
"""

from __future__ import annotations

from pathlib import Path

from workbench.scoring.fdb_sample import joined
from workbench.spoken import TYPING, spoken_words
from workbench.trace import Trace

JOIN_S = 0.2
NAME = "session"


def write_rttm(trace: Trace, folder: Path) -> list[Path]:
    """One file, session.rttm, in order of time; what was typed makes no sound and is left out."""
    words = [word for word in spoken_words(trace) if word.speaker != TYPING and word.end_s > word.start_s]
    speakers = dict.fromkeys(word.speaker for word in words)
    spans = [(span, who) for who in speakers for span in joined([(w.start_s, w.end_s) for w in words if w.speaker == who], JOIN_S)]
    lines = [
        f"SPEAKER {NAME} 1 {start_s:.3f} {end_s - start_s:.3f} <NA> <NA> {who.replace(' ', '_')} <NA> <NA>\n"
        for (start_s, end_s), who in sorted(spans)
    ]
    path = folder / f"{NAME}.rttm"
    path.write_text("".join(lines) or ";; nobody said anything\n", encoding="utf-8")
    return [path]
