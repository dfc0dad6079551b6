"""Training conversations: medleys of all families, performed by simulated users in many voices and answered by the oracle.

A conversation is addressed by its number and source, so it can be made anywhere and is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from workbench.agents import Mouth, OracleAgent
from workbench.bank import Bank
from workbench.cast import Cast
from workbench.channel import CLEAR, sample_channel
from workbench.clock import ClockSpec
from workbench.conditions import Condition
from workbench.errors import InputError
from workbench.festival import festival_available
from workbench.frames import Lens
from workbench.packets import rng_for
from workbench.recordings import recordings_available
from workbench.rhvoice import rhvoice_available
from workbench.scenarios import MEDLEY_WEIGHTS, medley
from workbench.session import Session
from workbench.speech import Speaker, prepare, speaker
from workbench.trace import Trace, record
from workbench.users import ScriptedUser
from workbench.voices import FORMANTS, Voice, pick_voice

Source: TypeAlias = Literal["espeak", "recorded", "festival", "rhvoice", "typed", "accents"]
SOURCES: tuple[Source, ...] = ("espeak", "recorded", "festival", "rhvoice", "typed", "accents")
REAL_BYSTANDERS = 0.85  # of the conversations: where recordings may stand in for bystanders, if they are at hand
TYPED_CONVERSATIONS = 1 / 5  # in which the user also types
TYPED_SHARE = 0.6  # of the requests that can be typed, in those
MANY_SPEAKERS = 1 / 2  # of the recorded conversations: digits of the single-word collection instead of one person's


def available(source: Source) -> bool:
    """Whether what a source needs is on this machine: nothing, recordings of people, the program festival, or RHVoice."""
    match source:
        case "espeak" | "typed" | "accents":
            return True
        case "recorded":
            return recordings_available()
        case "festival":
            return festival_available()
        case "rhvoice":
            return rhvoice_available()
    raise InputError(f"no source {source!r} of conversations; there are {', '.join(SOURCES)}")


def converse(
    number: int,
    source: Source = "espeak",
    speakers: tuple[str, ...] = (),
    seconds: float = 30.0,
    *,
    weights: Mapping[str, float] = MEDLEY_WEIGHTS,
    mouth: Mouth | None = None,
    clock: ClockSpec | None = None,
) -> Trace:
    """Conversation `number` of a source, `seconds` long, with a perfect agent, in memory. The user is that of `someone`.

    The agent speaks with `mouth`, by default the synthesiser's. `clock` is that of the published model if not given.
    """
    user = someone(number, source, speakers, seconds, weights=weights)
    session = Session.start(Cast(OracleAgent(mouth or Mouth())).of(user), clock=clock, seed=number)
    trace = record(session, labels=dict(user.script.labels))
    session.run(user.script.longest(session.clock))
    return trace


def someone(
    number: int, source: Source, speakers: tuple[str, ...] = (), seconds: float = 30.0, *, weights: Mapping[str, float] = MEDLEY_WEIGHTS
) -> ScriptedUser:
    """The user of conversation `number` of a source. Bystanders are other people: of the source where it has any, else of "train".

    "espeak" draws one of the training voices, "recorded" carries the digits of one of `speakers` (or of many) in such a voice, "festival"
    is one man's diphones with other vocal tracts, "rhvoice" two people's voices at many tempos, pitches and vocal tracts, "accents" the
    training voices in accents that nobody has and in those of learners. `weights` gives the chance of each family, per piece. The channel,
    clear more often than not, is drawn apart from all else, and so is whether the user also types. Pictures are without the faults of a
    lens: those are drawn anew for every batch.
    """
    place = SOURCES.index(source)
    rng = rng_for(number, place, "conversation")
    difficulty = float(rng.uniform(0.0, 1.0))
    bystanders: Literal["train"] | None = "train" if recordings_available() and rng.random() < REAL_BYSTANDERS else None
    pick = _picker(source, number, speakers, rng)
    script = medley(number, seconds=seconds, difficulty=difficulty, weights=weights, pick=pick, recorded=bystanders, open_talk=True)
    channel = sample_channel(rng_for(number, place, "channel"), difficulty)
    script = replace(script, lens=Lens())
    keys = 1.0 if source == "typed" else float(rng_for(number, place, "typed").random() < TYPED_CONVERSATIONS) * TYPED_SHARE
    script = Condition(channel=CLEAR if channel.clear else channel, typed=keys).on(script)
    speaker_of: Callable[[Voice], Speaker] = speaker
    if source == "festival":
        bank = Bank.default()
        texts = [part for beat in script.beats if beat.speaker == "user" for part in beat.parts if isinstance(part, str)]
        prepare(script.voices["user"], texts, bank)
        speaker_of = partial(speaker, bank=bank)
    return ScriptedUser(script, speaker_of=speaker_of)


def _picker(source: Source, number: int, speakers: tuple[str, ...], rng: np.random.Generator) -> Callable[[str, int], Voice]:
    """Whose voices they are, by number: that of the conversation is the user's, others are bystanders'."""
    if source in ("espeak", "typed"):
        return pick_voice
    if source == "recorded":
        return partial(_recorded_voice, speakers, number)
    if source in ("rhvoice", "accents"):
        return lambda set_name, seed: pick_voice(source, seed)
    formant = round(float(np.clip(rng.normal(1.0, 0.1), *FORMANTS)), 2)
    voice = replace(pick_voice("festival", number), formant=formant)
    return lambda set_name, seed: voice if seed == number else pick_voice(set_name, seed)


def _recorded_voice(speakers: tuple[str, ...], number: int, set_name: str, seed: int) -> Voice:
    rng = rng_for(seed, 0, "recorded")
    if not speakers or rng.random() < MANY_SPEAKERS:
        return pick_voice("commands", seed)
    if seed != number and len(speakers) == 1:
        return pick_voice(set_name, seed)  # a bystander of the only speaker is of the synthesiser's voices
    return replace(pick_voice("recorded", seed), name=str(rng.choice(speakers)))
