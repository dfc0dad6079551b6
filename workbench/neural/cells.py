"""Traces to training cells: what an agent lived through in a session, as the arrays that training eats."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from model.dmel import DMel
from model.layout import DELEGATIONS, HALVES, NO_TOKEN, NOTHING_HEARD, YIELD, Cells, Vocabulary
from workbench.asking import Repertoire, told, written
from workbench.background.notes import notes_of
from workbench.clock import ClockSpec
from workbench.events import ModelYielded, TruthPiece, TruthWord
from workbench.events_background import DelegationRequested
from workbench.frames import FRAMES_PER_TICK, SIDE, fitted, sample_lens
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, USER_TEXT, Audio, MicroTurn
from workbench.scenarios.world import AGENT_WORDS, ASK_WORDS, USER_WORDS
from workbench.sounds import NOISE
from workbench.trace import Trace
from workbench.utterance import clean_words

HEARD_DELAY_S = 0.1  # a word is named in the half cell that contains its end plus this
AUDIBLE = 1e-4
_NO_PICTURES = np.zeros((0, FRAMES_PER_TICK, SIDE, SIDE, 3), np.uint8)


def vocabulary() -> Vocabulary:
    """The words of the world of the shipped scenarios."""
    return Vocabulary(AGENT_WORDS, USER_WORDS, (*DELEGATIONS, *ASK_WORDS))


def cells_of(
    trace: Trace,
    words: Vocabulary,
    dmel: DMel | None = None,
    *,
    families: Sequence[str] = (),
    wanted: Sequence[tuple[str, ...]] | None = None,
) -> Cells:
    """The cells an agent lived through in a trace: cell t takes in sound and picture of turn t-1 and is taught what was said in turn t.

    `wanted` is what it is taught instead: the words of every tick, "<yield>" among them. Families are numbered from 1 in the order given;
    cells of others, or of none, carry 0.
    """
    dmel = dmel or DMel()
    clock = trace.header.clock
    ticks = len(trace)
    user = _delayed(trace.audio(USER_AUDIO), clock)
    own = _delayed(trace.audio(AGENT_AUDIO), clock)
    frames = clock.samples_per_tick // dmel.hop_samples
    pictures = [(t + 1, shown) for t, turn in enumerate(trace.turns[:-1]) if (shown := turn.frames(USER_CAMERA)) is not None]
    user_mel = dmel.log_mel(torch.from_numpy(user)).reshape(ticks, frames, -1)
    own_level = dmel.levels(dmel.log_mel(torch.from_numpy(own))).reshape(ticks, frames, -1)
    out = _outputs(trace, words)
    return Cells(
        user_mel=user_mel.to(torch.float16).numpy(),
        own_level=own_level.numpy(),
        own_present=np.abs(own.reshape(ticks, -1)).max(1) > AUDIBLE,
        out=out,
        heard=_heard(trace, words),
        active=_active(trace),
        wanted=out if wanted is None else _padded([[words.token_id(word) for item in row for word in item.split()] for row in wanted]),
        family=_family(trace, families),
        pictures=np.stack([fitted(shown, FRAMES_PER_TICK, SIDE) for _, shown in pictures]) if pictures else _NO_PICTURES,
        picture_cell=np.array([cell for cell, _ in pictures], np.int32),
        typed=_typed(trace, words),
        background=_padded([[], *(background_tokens(turn, words) for turn in trace.turns[:-1])]),
    )


def background_tokens(turn: MicroTurn, words: Vocabulary, repertoire: Repertoire | None = None) -> list[int]:
    """What the background hands over in a micro-turn as output tokens: of each note what it is, and those of its words that can be said.

    With a `repertoire`, a result that is not in it is read as `told` says.
    """
    read = [word for note in notes_of(turn) for word in told(note, repertoire)] if words.delegates else []
    return [words.token_id(word) for word in read if word in words.tokens]


def packed(cells: Cells) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of `Cells` for a pool, pictures compressed (without a lens to a fifteenth or so)."""
    squeezed = np.frombuffer(zlib.compress(cells.pictures.tobytes(), 6), np.uint8)
    return {**vars(cells), "pictures": squeezed, "picture_shape": np.array(cells.pictures.shape, np.int32)}


def unpacked(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Cells:
    """The cells that `packed` made arrays of."""
    rest = {name: array for name, array in arrays.items() if name not in ("pictures", "picture_shape")}
    rest.setdefault("background", np.full((len(arrays["out"]), 1), NO_TOKEN, np.int16))  # conversations made before there was any
    pixels = np.frombuffer(zlib.decompress(arrays["pictures"].tobytes()), np.uint8)
    return Cells(**rest, pictures=pixels.reshape(arrays["picture_shape"]))


def through_a_lens(cells: Cells, rng: np.random.Generator) -> Cells:
    """The same conversation seen through a lens drawn at random, of any difficulty; cells without pictures as they are."""
    if not len(cells.pictures):
        return cells
    lens = sample_lens(rng, float(rng.uniform()))
    return replace(cells, pictures=lens.take_all(cells.pictures, cells.picture_cell.tolist()))


def _delayed(audio: Audio, clock: ClockSpec) -> Audio:
    lead = np.zeros(clock.samples_per_tick, np.float32)
    return np.concatenate([lead, audio[: len(audio) - len(lead)]])


def _outputs(trace: Trace, words: Vocabulary) -> np.ndarray[Any, np.dtype[np.int16]]:
    rows = []
    for turn in trace.turns:
        tokens = [YIELD] if any(isinstance(e, ModelYielded) for e in turn.events) else []
        requests = [word for e in turn.events if isinstance(e, DelegationRequested) for word in written(e).split()]
        rows.append(tokens + [words.token_id(word) for word in (*turn.text(AGENT_TEXT).split(), *requests)])
    return _padded(rows)


def _padded(rows: Sequence[Sequence[int]]) -> np.ndarray[Any, np.dtype[np.int16]]:
    depth = max(1, max(map(len, rows), default=1))
    return np.array([[*row, *[NO_TOKEN] * (depth - len(row))] for row in rows], np.int16)


def _heard(trace: Trace, words: Vocabulary) -> np.ndarray[Any, np.dtype[np.int16]]:
    half_s = trace.header.clock.tick_s / HALVES
    flat = np.full(len(trace) * HALVES, NOTHING_HEARD, np.int16)
    spoken = sorted((event for _, event in trace.events(TruthWord) if event.word != NOISE), key=lambda e: e.end_s)
    for event in spoken:
        at = int((event.end_s + HEARD_DELAY_S) / half_s) + HALVES  # audio of turn t-1 is taken in by cell t
        while at < len(flat) and flat[at] != NOTHING_HEARD:
            at += 1
        if at < len(flat):
            flat[at] = words.heard_id(event.word)
    return flat.reshape(-1, HALVES)


def _active(trace: Trace) -> np.ndarray[Any, np.dtype[np.bool_]]:
    clock = trace.header.clock
    active = np.zeros(len(trace), np.bool_)
    for _, event in trace.events(TruthWord):
        if event.word == NOISE:
            continue
        active[clock.tick_at(event.start_s) + 1 : clock.tick_at(event.end_s - 1e-6) + 2] = True
    return active


def _typed(trace: Trace, words: Vocabulary) -> np.ndarray[Any, np.dtype[np.int16]]:
    rows = [[words.heard_id(word) for word in clean_words(turn.text(USER_TEXT))] for turn in trace.turns]
    return _padded([[], *rows[:-1]])


def _family(trace: Trace, families: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A piece begins with the cell that takes in its first sound and lasts until the next begins."""
    family = np.zeros(len(trace), np.uint8)
    for tick, event in trace.events(TruthPiece):
        family[tick + 1 :] = families.index(event.family) + 1 if event.family in families else 0
    return family
