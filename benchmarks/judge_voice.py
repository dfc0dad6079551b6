"""Whether a recogniser understands the agent's own voice, and whether cells click, beside its teacher and the synthesiser.

    python benchmarks/judge_voice.py [--lines 150] [--voice FILE ...] [--steps N] [--noise X]

Lines of one to five words of the agent, spoken without gaps. Needs pocketsphinx, and flite for the teacher. `--steps` and `--noise` are
for voices with a flow-matching head: the same weights in another number of Euler steps, and with another share of the noise.

Predicted before it was measured: the teacher 10 %, the own voice 5 points above it, the synthesiser's voice 20 points above it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import jiwer
import numpy as np

from model.flow import FlowConfig
from model.voice import Voice
from workbench.acoustics import border_flux
from workbench.errors import InputError
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


def sampled(voice: Voice, steps: int | None, noise: float | None) -> Voice:
    """The same weights, sampled in so many Euler steps from noise of that scale; None leaves either as the voice has it.

    Raises InputError for a voice without a flow-matching head, ValueError for steps or a scale that no flow has.
    """
    if steps is None and noise is None:
        return voice
    speech = voice.config.speech
    head = speech.head
    if not isinstance(head, FlowConfig):
        raise InputError(
            "it has a regression head, which has neither Euler steps nor noise; leave --steps and --noise out, "
            "or give a voice of `microturn train --part voice --head flow`"
        )
    head = replace(head, steps=head.steps if steps is None else steps, noise_scale=head.noise_scale if noise is None else noise)
    other = Voice(replace(voice.config, speech=replace(speech, head=head)), voice.lexicon).eval()
    other.load_state_dict(voice.state_dict())
    return other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=150)
    parser.add_argument("--voice", nargs="*", default=["voice"], help="own voices: files, or the one that comes along")
    parser.add_argument("--steps", type=int, help="Euler steps of a flow-matching head, instead of the voice's own number")
    parser.add_argument("--noise", type=float, help="scale of a flow-matching head's noise, instead of the voice's own; 0: none")
    asked = parser.parse_args()
    voices = {}
    for name in asked.voice:
        try:
            if voice := voice_of(name):
                voices[name] = sampled(voice, asked.steps, asked.noise)
        except ValueError as error:
            parser.error(f"voice {name}: {error}")
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
