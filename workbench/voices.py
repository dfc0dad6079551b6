"""Who speaks: the description of a voice, and the sets of voices for training and for tests with unseen speakers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeAlias

import numpy as np

from workbench import accents, rhvoice
from workbench.errors import InputError
from workbench.espeak import ENGLISH, variants
from workbench.learners import LANGUAGES
from workbench.packets import rng_for

Engine: TypeAlias = Literal["espeak", "flite", "festival", "rhvoice", "recorded"]
VOICE_SETS = ("train", "unseen", "flite", "recorded", "commands", "held-back", "learners", "festival", "rhvoice", "accents")
FORMANTS = (0.84, 1.2)
FLITE_VOICES = ("awb", "rms", "kal16")  # never used in training
UNSEEN_ACCENT = "en-gb-scotland"
ACCENTS = 1_000_000  # how many there are in the set "accents", and of each first language
LEARNERS = 0.5  # of the set "accents": who learned another language first
DIGIT_SPEAKERS = ("jackson", "nicolas", "theo", "yweweler")  # Free Spoken Digit Dataset
# Whispers, robots, effects, and one (kaukovalta) whose words do not resemble those of any other variant.
_NOT_PEOPLE = frozenset(
    {"croak", "whisper", "whisperf", "Demonic", "Tweaky", "UniRobot", "anikaRobot", "fast", "klatt", "klatt2", "kaukovalta"}
)
_NOT_PEOPLE_PREFIX = "robosoft"


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One way to speak.

    `name` is an espeak-ng voice ("en-us+f3"), a flite voice ("awb"), a festival voice, one of RHVoice, or a speaker of recorded digits.
    `formant` scales all resonances (1.1: a shorter vocal tract) without changing tempo or pitch. `splice` speaks every word on its own
    and joins them.
    A recorded voice says digits with recordings (takes drawn by `seed`) and other words with an espeak-ng voice of the training set drawn
    by `seed`; `digits_from` names its collection: "digits" (one person), or single words of many people, "commands" from the training
    files and "held-back" from those held back.
    """

    engine: Engine
    name: str
    rate_wpm: int = 175
    pitch: int = 50
    pitch_range: int = 50
    formant: float = 1.0
    word_gap: int = 0
    splice: bool = False
    seed: int = 0
    digits_from: Literal["digits", "commands", "held-back"] = "digits"

    def __post_init__(self) -> None:
        low, high = FORMANTS
        if not low <= self.formant <= high:
            raise InputError(f"formant={self.formant} is outside {low} to {high}; 1.0 leaves the voice as it is")

    @property
    def label(self) -> str:
        """A short name that tells any two voices apart, for traces and stored phrases."""
        if self.engine == "recorded":
            return f"recorded:{self.name}/{self.digits_from}#{self.seed}"
        if self.engine == "flite":
            return f"flite:{self.name}"
        spliced = " spliced" if self.splice else ""
        return f"{self.engine}:{self.name} r{self.rate_wpm} p{self.pitch}/{self.pitch_range} x{self.formant:.3f} g{self.word_gap}{spliced}"

    @property
    def person(self) -> str:
        """Who speaks: two voices of one person differ in tempo, pitch, accent or vocal tract at most."""
        if self.engine == "recorded":
            return f"recorded:{self.name}" if self.digits_from == "digits" else self.label  # of many, others with each draw
        return f"{self.engine}:{self.name.rpartition('+')[2]}"


AGENT_VOICE = Voice(engine="espeak", name="en-us+f2", rate_wpm=190)  # the agent's own; in neither the training nor the unseen set


@cache
def split_variants() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """espeak-ng variants of the training and of the unseen set; relatives ("steph", "steph2") stay together.

    About one family in five is unseen, by a fixed hash of its name. The agent's variant is in neither.
    """
    agent = AGENT_VOICE.name.partition("+")[2]
    people = [name for name in variants() if name not in _NOT_PEOPLE and not name.startswith(_NOT_PEOPLE_PREFIX) and name != agent]
    unseen = tuple(name for name in people if zlib.crc32(_family(name).encode()) % 5 == 0)
    return tuple(name for name in people if name not in unseen), unseen


def _family(variant: str) -> str:
    return variant if len(variant) == 2 else variant.lower().rstrip("0123456789")


def pick_voice(set_name: str, seed: int) -> Voice:
    """The voice with this number in a set; the same for the same arguments.

    "train" and "unseen" are espeak-ng voices without a variant in common, and the accent "en-gb-scotland" is only in "unseen".
    "flite" (awb, rms, kal16), "recorded" (four people's digits, carried by a training voice) and "held-back" (single words of people
    whom no training hears, carried likewise) are for evaluation, and so are "learners": speakers of fourteen first languages, unseen
    variants in accents beyond those of training; one number is the same speaker in "learners:fr" and in "learners:de".
    "commands" is recorded single words (carried likewise) and "festival" one man's diphones at several tempos and pitches, "rhvoice"
    two more people's voices likewise, "accents" the training voices in accents that nobody has and in those of learners, all for
    training. "flite:awb" and "recorded:theo" are one voice of a set. Whether engine and recordings are installed shows only when the
    voice speaks.
    """
    rng = rng_for(seed, 0, f"voice:{set_name}")
    group, _, only = set_name.partition(":")
    if only:
        return _one_voice(group, only, seed)
    match set_name:
        case "train":
            return _train_voice(rng)
        case "unseen":
            return _unseen_voice(rng)
        case "flite":
            return Voice(engine="flite", name=str(rng.choice(FLITE_VOICES)))
        case "recorded":
            return Voice(engine="recorded", name=str(rng.choice(DIGIT_SPEAKERS)), seed=seed)
        case "commands" | "held-back":
            return Voice(engine="recorded", name="many", seed=seed, digits_from=set_name)
        case "festival":
            return replace(_manner(rng, "ked_diphone", (0.9, 1.1)), engine="festival", word_gap=0, splice=False)
        case "accents":
            return _accented_voice(rng)
        case "learners":
            return _learner(rng)
        case "rhvoice":
            return replace(_manner(rng, str(rng.choice(rhvoice.VOICES)), FORMANTS), engine="rhvoice", word_gap=0, splice=False)
        case _:
            raise InputError(f"there is no voice set {set_name!r}; choose one of {', '.join(VOICE_SETS)}")


def _one_voice(group: str, name: str, seed: int) -> Voice:
    """The named voice of the sets "flite" and "recorded", or the drawn speaker of a first language of the set "learners"."""
    members = {"flite": FLITE_VOICES, "recorded": DIGIT_SPEAKERS, "learners": tuple(LANGUAGES)}.get(group, ())
    if name not in members:
        listed = ", ".join(members) or "none: only flite:NAME, recorded:NAME and learners:LANGUAGE name a part of a set"
        raise InputError(f"voice set {group!r} has no voice {name!r}; it has {listed}")
    if group == "learners":
        return _learner(rng_for(seed, 0, f"voice:{group}"), name)
    return replace(pick_voice(group, seed), name=name)


def _train_voice(rng: np.random.Generator) -> Voice:
    known = [accent for accent in ENGLISH if accent != UNSEEN_ACCENT]
    weights = np.array([3.0 if accent == "en-us" else 1.0 for accent in known])
    accent = str(rng.choice(known, p=weights / weights.sum()))
    variant = str(rng.choice([*split_variants()[0], ""]))
    return _manner(rng, f"{accent}+{variant}" if variant else accent, FORMANTS)


def _accented_voice(rng: np.random.Generator) -> Voice:
    """A training voice in one of a million accents that nobody has, or in that of somebody who learned another language first."""
    number = int(rng.integers(ACCENTS))
    learned = rng.random() < LEARNERS
    accent = accents.name_of(number, str(rng.choice(list(LANGUAGES))) if learned else "")
    variant = str(rng.choice([*split_variants()[0], ""]))
    return _manner(rng, f"{accent}+{variant}" if variant else accent, FORMANTS)


def _learner(rng: np.random.Generator, language: str = "") -> Voice:
    """An unseen variant in an accent beyond those of training, of a speaker of this first language (or of one that is drawn)."""
    drawn = str(rng.choice(list(LANGUAGES)))
    accent = accents.name_of(ACCENTS + int(rng.integers(ACCENTS)), language or drawn)
    return _manner(rng, f"{accent}+{rng.choice(split_variants()[1])}", (0.92, 1.1))


def _unseen_voice(rng: np.random.Generator) -> Voice:
    accent = UNSEEN_ACCENT if rng.random() < 0.5 else str(rng.choice([name for name in ENGLISH if name != UNSEEN_ACCENT]))
    return _manner(rng, f"{accent}+{rng.choice(split_variants()[1])}", (0.92, 1.1))


def _manner(rng: np.random.Generator, name: str, formants: tuple[float, float]) -> Voice:
    """A voice with drawn tempo, pitch, melody and vocal tract; steps are coarse so that stored phrases are met again."""
    return Voice(
        engine="espeak",
        name=name,
        rate_wpm=int(rng.integers(11, 25)) * 10,
        pitch=int(rng.integers(3, 17)) * 5,
        pitch_range=int(rng.integers(3, 18)) * 5,
        formant=round(float(np.clip(rng.normal(1.0, 0.09), *formants)), 2),
        word_gap=int(rng.integers(1, 4)) if rng.random() < 0.2 else 0,
        splice=bool(rng.random() < 0.1),
    )
