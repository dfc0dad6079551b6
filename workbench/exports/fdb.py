"""The folder of one Full-Duplex-Bench sample: input.wav, output.wav of the same length, and output.json with the agent's timed words.

Format: Full-Duplex-Bench v1 (Lin et al., 2025): `{"text": ..., "chunks": [{"text": word, "timestamp": [start_s, end_s]}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.audio_io import write_wav
from workbench.packets import AGENT_AUDIO, USER_AUDIO
from workbench.spoken import agent_words
from workbench.trace import Trace

FILES = ("input.wav", "output.wav", "output.json")


def write_fdb(trace: Trace, folder: Path) -> list[Path]:
    """Both sides as 16-bit WAV on one clock and of one length, and the agent's words with their times in seconds."""
    files = [folder / name for name in FILES]
    for path, stream in zip(files, (USER_AUDIO, AGENT_AUDIO), strict=False):
        write_wav(path, trace.audio(stream), trace.header.clock.sample_rate)
    body = words_body([(word.text, round(word.start_s, 3), round(word.end_s, 3)) for word in agent_words(trace)])
    files[2].write_text(json.dumps(body, indent=1) + "\n")
    return files


def words_body(words: Iterable[tuple[str, float, float]]) -> dict[str, Any]:
    """Words (text, start_s, end_s) as the benchmark's recogniser writes them."""
    timed = list(words)
    chunks = [{"text": text, "timestamp": [start_s, end_s]} for text, start_s, end_s in timed]
    return {"text": " ".join(text for text, _, _ in timed), "chunks": chunks}
