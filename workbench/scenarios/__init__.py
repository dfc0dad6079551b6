"""The families of situations, by name; `build` gives a script of one family, `medley` one that strings many of them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Literal, TypeAlias

import numpy as np

from workbench.acoustics import sample_acoustics
from workbench.clock import ClockSpec
from workbench.errors import InputError
from workbench.frames import sample_lens
from workbench.packets import rng_for
from workbench.scenarios import (
    along,
    answer,
    backchannel,
    background,
    bystander_order,
    call_off,
    chart,
    cue_word,
    disallowed,
    every_n,
    how_long,
    impatient,
    invitation,
    late_result,
    listener,
    long_count,
    long_silence,
    look_up,
    meanwhile,
    new_question,
    other_directed,
    other_one,
    planted,
    redirect,
    repetitions,
    self_correction,
    stop,
    tell_when,
    think_pause,
    timer,
    translate,
    user_mistake,
    warning,
    what_changed,
    wrong_sum,
)
from workbench.scenarios.dial import USUAL
from workbench.scenarios.facts import Facts
from workbench.scenarios.open_talk import with_open_talk
from workbench.scenarios.script import AfterOwn, At, Beat, Manner, Passage, Piece, Script, Trigger
from workbench.speech import Voice, pick_voice

PieceOf: TypeAlias = Callable[[Trigger, np.random.Generator, float], Piece]
EpisodeOf: TypeAlias = Callable[[Trigger, np.random.Generator, float], list[Piece]]
VoicePicker: TypeAlias = Callable[[str, int], Voice]
Recorded: TypeAlias = Literal["train", "held_back"]

TAIL_S = 2.0  # quiet after the last beat or the agent's last word
MAX_EPISODE_S = 60.0
MEDLEY_GAP_S = (0.8, 2.5)
RECORDED_SHARE = {"held_back": 0.5, "train": 0.65}  # of bystanders who are recorded people, where recordings are asked for
PASSAGE_S = (1.5, 4.0)
PASSAGE_SPEEDS = (0.8, 1.25)  # of those for training, so that some hundred people sound like many
PASSAGE_MANNERS: Mapping[Manner, float] = {"alone": 0.5, "two_at_once": 0.2, "fragments": 0.3}  # of those for training
OPENING = 1 / 3  # of the conversations for training begin with what is for others
BYSTANDER = 7919  # keeps the bystander's voice apart from the user's
SOMEBODY_ELSE = 40  # draws until the bystander is another person; after so many the set has only one


GROUPS: Mapping[str, tuple[ModuleType, ...]] = {
    "floor": (answer, think_pause, self_correction, invitation, long_silence, long_count),
    "interruption": (stop, new_question, redirect, backchannel, impatient),
    "listening": (listener, other_directed, background),
    "interjection": (cue_word, user_mistake, wrong_sum, warning),
    "time": (timer, every_n, how_long),
    "both_at_once": (translate, along),
    "safety": (disallowed, bystander_order, planted),
    "seeing": (repetitions, tell_when, what_changed),
    "background": (look_up, meanwhile, other_one, call_off, chart, late_result),
}


def _name_of(module: ModuleType) -> str:
    return module.__name__.rsplit(".", 1)[-1]


BACKGROUND = frozenset(map(_name_of, GROUPS["background"]))
PLANTED = "planted"  # has something looked up too, but what comes back is not to be trusted

# What a checkpoint that does not say otherwise was trained on.
FIRST_FAMILIES = ("answer", "think_pause", "self_correction", "stop", "backchannel", "other_directed", "timer", "long_count")


@dataclass(frozen=True)
class Family:
    """One situation: its name and group, what it is about, and how its pieces and episodes are made."""

    name: str
    group: str
    summary: str
    piece: PieceOf
    episode: EpisodeOf


def _family(group: str, module: ModuleType) -> Family:
    name = _name_of(module)
    return Family(name, group, (module.__doc__ or "").split("\n", 1)[0], module.piece, module.episode)


FAMILIES: dict[str, Family] = {
    found.name: found for found in (_family(group, module) for group, modules in GROUPS.items() for module in modules)
}

MEDLEY_WEIGHTS: Mapping[str, float] = {  # per piece: sums are over in two seconds, a count takes up to twenty
    "answer": 4.0,
    "think_pause": 2.5,
    "self_correction": 3.0,
    "stop": 1.5,
    "backchannel": 1.5,
    "other_directed": 1.8,
    "timer": 1.0,
    "long_count": 0.8,
    "invitation": 2.0,
    "long_silence": 1.0,
    "new_question": 1.2,
    "redirect": 1.2,
    "impatient": 1.5,
    "every_n": 0.8,
    "listener": 0.8,
    "background": 1.2,
    "cue_word": 1.2,
    "user_mistake": 1.5,
    "warning": 1.5,
    "how_long": 1.2,
    "translate": 1.8,
    "along": 0.8,
    "disallowed": 2.0,
    "bystander_order": 1.2,
}

BACKGROUND_WEIGHTS: Mapping[str, float] = {
    "look_up": 2.0,
    "meanwhile": 2.0,
    "other_one": 2.0,
    "call_off": 1.5,
    "chart": 1.0,
    "late_result": 0.8,
}
SEEING_WEIGHTS: Mapping[str, float] = {"repetitions": 0.8, "tell_when": 1.2, "what_changed": 1.2}  # beside the others, with a camera


def family(name: str) -> Family:
    """The family of that name; InputError, with the names there are, when there is none."""
    try:
        return FAMILIES[name]
    except KeyError:
        raise InputError(f"no scenario family {name!r}; there are {', '.join(FAMILIES)}; one of your own: own:FILE.py") from None


def build(
    name: str,
    seed: int,
    voices: str = "train",
    difficulty: float = USUAL,
    *,
    pick: VoicePicker = pick_voice,
    recorded: Recorded | None = None,
) -> Script:
    """The script of one episode of a family: the same arguments give the same script. A bystander is another person than the user, if the
    set of voices has two.

    `difficulty` from 0 to 1 moves the surroundings and what each family says of it. With `recorded`, half of the bystanders whose words do
    not matter (in `other_directed` and `background`) are stretches of people's read sentences and meetings, from the held-back part of the
    recordings; from the part for training, two thirds are: faster or slower than they were said, alone, two at once, or in fragments.
    """
    chosen = family(name)
    checked_difficulty(difficulty)
    rng = rng_for(seed, 0, f"scenario.{name}")
    pieces = [_of(name, piece) for piece in chosen.episode(At(float(rng.uniform(0.3, 1.2))), rng, difficulty)]
    script = _script(name, seed, _with_recordings(pieces, rng, recorded), (voices, pick), difficulty, rng)
    return script if recorded is None else replace(script, labels={**script.labels, "bystanders": recorded})


def medley(
    seed: int,
    voices: str = "train",
    seconds: float = 30.0,
    difficulty: float = USUAL,
    *,
    weights: Mapping[str, float] = MEDLEY_WEIGHTS,
    pick: VoicePicker = pick_voice,
    recorded: Recorded | None = None,
    open_talk: bool = False,
) -> Script:
    """Pieces of randomly chosen families one after another for `seconds`, each over before the next begins; made for training.

    The last piece may be cut off by the end. `weights` gives the chance of each family; `recorded` is as in `build`. With `open_talk` most
    of what is said to others is of words outside the world, and a third begin with other-directed speech or background, before a request.
    """
    checked_difficulty(difficulty)
    rng = rng_for(seed, 0, "scenario.medley")
    chosen = [family(name) for name in weights]
    chances = np.array([weights[f.name] for f in chosen], float)
    if chances.sum() <= 0 or chances.min() < 0:
        raise InputError(f"weights {dict(weights)} must be zero or more, and not all zero")
    chances /= chances.sum()
    lead: Trigger = At(float(rng.uniform(0.2, 1.5)))
    pieces: list[Piece] = []
    if open_talk and (opening := _opening(seed, lead, difficulty, weights)):
        pieces.append(opening)
        lead = opening.after(float(rng_for(seed, 0, "scenario.opening.gap").uniform(*MEDLEY_GAP_S)))
    for _ in range(max(1, round(seconds / 2.0))):  # no piece takes less than about two seconds
        drawn = chosen[int(rng.choice(len(chosen), p=chances))]
        pieces.append(_of(drawn.name, drawn.piece(lead, rng, difficulty)))
        lead = pieces[-1].after(float(rng.uniform(*MEDLEY_GAP_S)))
    pieces = with_open_talk(pieces, seed) if open_talk else pieces
    script = _script("medley", seed, _with_recordings(pieces, rng, recorded), (voices, pick), difficulty, rng, seconds)
    return script if recorded is None else replace(script, labels={**script.labels, "bystanders": recorded})


def _opening(seed: int, lead: Trigger, difficulty: float, weights: Mapping[str, float]) -> Piece | None:
    """What is for others before anything else, in some conversations; drawn apart from all else.

    An agent that has not heard its user yet cannot tell by the voice that somebody else speaks.
    """
    rng = rng_for(seed, 0, "scenario.opening")
    there = [module for module in (other_directed, background) if weights.get(_name_of(module), 0.0) > 0]
    if not there or rng.random() >= OPENING:
        return None
    module = there[int(rng.integers(len(there)))]
    return _of(_name_of(module), module.idle(lead, rng, difficulty))


def _of(name: str, piece: Piece) -> Piece:
    """The piece with the name of its family on every beat."""
    return replace(piece, beats=tuple(replace(beat, family=name) for beat in piece.beats))


def _with_recordings(pieces: Sequence[Piece], rng: np.random.Generator, recorded: Recorded | None) -> list[Piece]:
    """The pieces with most of the bystanders' beats, or half of them, replaced by recorded passages, when asked for."""
    if recorded is None:
        return list(pieces)

    def drawn(beat: Beat) -> Beat:
        if beat.speaker != "bystander" or not beat.any_talk or rng.random() >= RECORDED_SHARE[recorded]:
            return beat
        kind: Literal["sentence", "meeting"] = "sentence" if rng.random() < 0.5 else "meeting"
        expects = tuple(replace(expect, tags=(*expect.tags, "recorded")) for expect in beat.expects)
        passage = Passage(kind, recorded, int(rng.integers(2**31)), float(rng.uniform(*PASSAGE_S)))
        if recorded == "train":
            own = rng_for(passage.seed, 0, "passage.speed")  # apart, so that the other draws are as ever
            speed = round(float(own.uniform(*PASSAGE_SPEEDS)), 2)
            manner = list(PASSAGE_MANNERS)[int(own.choice(len(PASSAGE_MANNERS), p=list(PASSAGE_MANNERS.values())))]
            passage = replace(passage, speed=speed, manner=manner)
        return replace(beat, parts=(), expects=expects, sound=passage)

    return [replace(piece, beats=tuple(drawn(beat) for beat in piece.beats)) for piece in pieces]


def _script(
    name: str,
    seed: int,
    pieces: Sequence[Piece],
    voices: tuple[str, VoicePicker],
    difficulty: float,
    rng: np.random.Generator,
    seconds: float = MAX_EPISODE_S,
) -> Script:
    set_name, pick = voices
    beats: tuple[Beat, ...] = tuple(beat for piece in pieces for beat in piece.beats)
    people = {"user": pick(set_name, seed)}
    if any(beat.speaker == "bystander" for beat in beats):
        people["bystander"] = _somebody_else(people["user"], lambda nth: pick(set_name, seed + nth * BYSTANDER))
    labels = {"voices": set_name, "difficulty": difficulty, "seconds": seconds, "voice": people["user"].label}
    ending = pieces[-1].after(TAIL_S) if pieces else AfterOwn(TAIL_S)
    surroundings = sample_acoustics(rng, difficulty)
    lens = sample_lens(rng, difficulty)
    asked = {beat.family for beat in beats}
    facts = replace(Facts.of(rng), planted=PLANTED in asked) if asked & {*BACKGROUND, PLANTED} else None
    return Script(name, seed, beats, people, ending, surroundings, ClockSpec().ticks_in(seconds), labels, lens=lens, facts=facts)


def _somebody_else(user: Voice, drawn: Callable[[int], Voice]) -> Voice:
    """The first voice drawn (from 1 on) of another person than the user's, or the first of all where there is nobody else."""
    others = (voice for voice in map(drawn, range(1, SOMEBODY_ELSE + 1)) if voice.person != user.person)
    return next(others, None) or drawn(1)


def checked_difficulty(difficulty: float) -> float:
    """The difficulty, which is from 0 to 1; InputError otherwise."""
    if not 0.0 <= difficulty <= 1.0:
        raise InputError(f"difficulty {difficulty} is outside 0 to 1; give a number from 0 to 1, {USUAL:g} is the usual one")
    return difficulty
