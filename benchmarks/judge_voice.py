"""Whether a recogniser understands the agent's own voice, and whether cells click, beside its teacher and the synthesiser.

    python benchmarks/judge_voice.py [--lines 150] [--voice FILE ...]

Lines of one to five words of the agent, spoken without gaps. Needs pocketsphinx, and flite for the teacher.

Predicted before it was measured: the teacher 10 %, the own voice 5 points above it, the synthesiser's voice 20 points above it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import jiwer
import numpy as np

from workbench.acoustics import border_flux
from workbench.neural.own_voice import spoken, voice_of
from workbench.neural.voice import HOP, LONGEST_FRAMES, line_of
from workbench.packets import Audio
from workbench.recogniser import Recogniser
from workbench.scenarios.world import AGENT_WORDS
from workbench.speech import AGENT_VOICE, speaker
from workbench.teacher import Taught, taught_within
from workbench.utterance import RATE

SEED = 11
CELL = RATE // 5
Say = Callable[[Sequence[str]], Audio]


def taught() -> Say:
    """Says a line with the teacher's words, cut on the same grid."""
    known: dict[str, Taught] = {}

    def say(words: Sequence[str]) -> Audio:
        for word in words:
            known.setdefault(word, taught_within(word, LONGEST_FRAMES * HOP / RATE))
        return np.asarray(line_of([known[word] for word in words]).audio_S.numpy(), np.float32)

    return say


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=150)
    parser.add_argument("--voice", nargs="*", default=["voice"], help="own voices: files, or the one that comes along")
    asked = parser.parse_args()
    voices = {name: voice for name in asked.voice if (voice := voice_of(name))}
    lexicon = next(iter(voices.values())).lexicon
    judge = Recogniser({word: lexicon[word].phones for word in AGENT_WORDS})
    rng = np.random.default_rng(SEED)
    lines = [[str(word) for word in rng.choice(AGENT_WORDS, size=rng.integers(1, 6))] for _ in range(asked.lines)]
    systems: dict[str, Say] = {"teacher (flite slt)": taught()}
    systems |= {f"own voice {name}": partial(spoken, voice, seed=SEED) for name, voice in voices.items()}
    systems["synthesiser (espeak-ng)"] = lambda words: speaker(AGENT_VOICE).say([" ".join(words)]).samples
    print(f"{asked.lines} lines, {sum(map(len, lines))} words of {len(AGENT_WORDS)}; the same lines for all")
    for name, say in systems.items():
        truth = [" ".join(judge.alike(line)) for line in lines]
        sounds = [say(line) for line in lines]
        heard = [" ".join(judge.hear(sound)) for sound in sounds]
        found = jiwer.process_words(truth, heard)
        errors = found.substitutions + found.deletions + found.insertions
        flux = [border_flux(sound, CELL) for sound in sounds]
        border, inside = (float(np.concatenate(part).mean()) for part in zip(*flux, strict=True))
        print(
            f"{name:28} word error rate {100 * found.wer:5.1f} %  ({errors} errors), flux at cell borders {border / inside:.2f}", flush=True
        )


if __name__ == "__main__":
    main()
