"""The one place that knows the cell: which position of the sequence carries what, and which positions are taught.

A cell is 200 ms of conversation:

    IN   cell mark (cell counter, words heard in the cell before) · user audio x A (A = 0: folded into the mark)
         · own voice x 1 (only if it sounded) · image patches (only with a frame) · typed text · background text
    OUT  nothing, or text and control tokens

The model predicts the first output at the last IN position and each further output at the output before it. A cell that says nothing
predicts SILENCE; a cell that says something ends with END. Neither becomes a position: the next cell mark stands for both. Loss is
taken at those predictions only. Cells of 200 ms in one flat sequence, inputs before outputs, are published (TML, May 2026); the order
inside the cell, the silence token, the counter and the own-voice positions are ours, because unpublished.
"""

# B rows, T cells, P positions, A audio positions per cell, K outputs per cell, M image patches per frame

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

LAYOUT_VERSION = "cells-2"

SILENCE, END, YIELD, BLANK = 0, 1, 2, 3
CONTROL_TOKENS = ("<silence>", "<end>", "<yield>", "<blank>")
NO_TARGET = -1
NO_TOKEN = -1
NOTHING_HEARD = 0
OTHER_WORD = 1
HEARD_SPECIALS = ("", "<other>")
DELEGATIONS = ("<open>", "<show>", "<amend>", "<cancel>")
HALVES = 2  # heard-words slots per cell: words that ended in its first and in its second half

Ints = npt.NDArray[np.int64]


class Kind(IntEnum):
    """What one position of the sequence carries."""

    PAD = 0
    MARK = 1
    USER_AUDIO = 2
    OWN_VOICE = 3
    PATCH = 4
    TYPED = 5
    BACKGROUND = 6
    OUT = 7


@dataclass(frozen=True)
class Vocabulary:
    """Words the agent can say and words it can hear; ids are positions in `tokens` and `heard`.

    `asks` are what it writes and does not say: the control tokens of DELEGATIONS, and words of requests that are not among `agent_words`.
    In a cell's outputs, what follows one of DELEGATIONS is the request, to the end of the cell. Syntax ours, because unpublished.
    """

    agent_words: tuple[str, ...]
    user_words: tuple[str, ...]
    asks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, words in (("agent_words and asks", (*self.agent_words, *self.asks)), ("user_words", self.user_words)):
            if len(set(words)) != len(words):
                raise ValueError(f"{name} hold a word twice: {sorted(w for w in words if words.count(w) > 1)}; list each word once")

    @property
    def tokens(self) -> tuple[str, ...]:
        return (*CONTROL_TOKENS, *self.agent_words, *self.asks)

    @property
    def delegates(self) -> bool:
        """Whether the agent can ask for slow work to be done."""
        return set(DELEGATIONS) <= set(self.asks)

    @property
    def heard(self) -> tuple[str, ...]:
        return (*HEARD_SPECIALS, *self.user_words)

    def token_id(self, word: str) -> int:
        """The id of a word the agent says. Raises KeyError-like ValueError for a word outside the vocabulary."""
        if word == "<yield>":
            return YIELD
        try:
            return len(CONTROL_TOKENS) + (*self.agent_words, *self.asks).index(word)
        except ValueError:
            raise ValueError(f"the agent's vocabulary has no word {word!r}; it has {len(self.agent_words)} words") from None

    def heard_id(self, word: str) -> int:
        """The id of a user's word; OTHER_WORD for words outside the world."""
        return len(HEARD_SPECIALS) + self.user_words.index(word) if word in self.user_words else OTHER_WORD


@dataclass(frozen=True)
class Plan:
    """Where everything of a batch of cells lies in its flat sequence; all int64 numpy arrays, PAD at the right end of each row."""

    kind_BP: Ints
    cell_BP: Ints  # index of the cell within the batch
    part_BP: Ints  # which audio position, patch, text token or output of the cell
    target_BP: Ints  # output token to predict here, or NO_TARGET
    length_B: Ints
    listen_BT: Ints  # position at which each cell has taken in the user's audio: there the heard-words head reads

    @property
    def shape(self) -> tuple[int, int]:
        rows, positions = self.kind_BP.shape
        return rows, positions


@dataclass(frozen=True)
class Counts:
    """How many positions of each kind every cell has: int64 (B, T) each."""

    own_voice: Ints
    patches: Ints
    typed: Ints
    background: Ints

    @classmethod
    def audio_only(cls, own_present_BT: npt.NDArray[np.bool_]) -> Counts:
        """Cells that carry sound only: the own voice takes one position where it was heard."""
        zero = np.zeros(own_present_BT.shape, np.int64)
        return cls(own_present_BT.astype(np.int64), zero, zero, zero)


def plan(counts: Counts, out_BTK: Ints, audio_positions: int, cells_B: Ints | None = None, wanted_BTK: Ints | None = None) -> Plan:
    """The plan of a batch of cells with the given outputs.

    `out_BTK` holds each cell's output tokens, padded at the end with NO_TOKEN. `cells_B` is the number of real cells per row (default:
    all). `wanted_BTK` is what should have been said, where that differs from what was: after an output that was not wanted the cell
    should end.
    """
    rows, cells, _ = out_BTK.shape
    num_out = (out_BTK != NO_TOKEN).sum(-1)
    if np.any((out_BTK[..., :-1] == NO_TOKEN) & (out_BTK[..., 1:] != NO_TOKEN)):
        raise ValueError("out_BTK has a gap: output tokens of a cell stand at its front, NO_TOKEN only after them")
    ones = np.ones((rows, cells), np.int64)
    sizes_BTJ = np.stack([ones, ones * audio_positions, counts.own_voice, counts.patches, counts.typed, counts.background, num_out], -1)
    if cells_B is not None:
        sizes_BTJ[np.arange(cells)[None] >= cells_B[:, None]] = 0
    return _lay(sizes_BTJ, _taught(out_BTK, out_BTK if wanted_BTK is None else wanted_BTK))


def _taught(out_BTK: Ints, wanted_BTK: Ints) -> Ints:
    """What to predict once k outputs of a cell are out, int64 (B, T, 1 + the larger K): the next one wanted, END, or SILENCE."""
    depth = max(out_BTK.shape[-1], wanted_BTK.shape[-1])
    out, wanted = (np.pad(a, ((0, 0), (0, 0), (0, depth - a.shape[-1])), constant_values=NO_TOKEN) for a in (out_BTK, wanted_BTK))
    taught = np.pad(wanted, ((0, 0), (0, 0), (0, 1)), constant_values=NO_TOKEN)
    num_wanted = (wanted != NO_TOKEN).sum(-1)
    np.put_along_axis(taught, num_wanted[..., None], np.where(num_wanted, END, SILENCE)[..., None], -1)
    as_wanted = np.logical_and.accumulate(out == wanted, -1)
    taught[..., 1:] = np.where(as_wanted, taught[..., 1:], END)
    return taught


def _lay(sizes_BTJ: Ints, taught_BTK: Ints) -> Plan:
    rows, cells, parts = sizes_BTJ.shape
    length_B = sizes_BTJ.sum((1, 2))
    width = int(length_B.max(initial=0))
    kind = np.zeros((rows, width), np.int64)
    cell = np.zeros((rows, width), np.int64)
    part = np.zeros((rows, width), np.int64)
    kinds = np.tile(np.arange(Kind.MARK, Kind.MARK + parts), cells)
    cell_of = np.repeat(np.arange(cells), parts)
    for row in range(rows):
        sizes = sizes_BTJ[row].reshape(-1)
        n = int(length_B[row])
        kind[row, :n] = np.repeat(kinds, sizes)
        cell[row, :n] = np.repeat(cell_of, sizes)
        starts = np.cumsum(sizes) - sizes
        part[row, :n] = np.arange(n) - np.repeat(starts, sizes)
    before_BT = np.cumsum(sizes_BTJ.sum(-1), 1) - sizes_BTJ.sum(-1)
    listen_BT = before_BT + sizes_BTJ[..., :2].sum(-1) - 1
    target = _targets(kind.shape, sizes_BTJ, before_BT, taught_BTK)
    return Plan(kind, cell, part, target, length_B, np.maximum(listen_BT, 0))


def _targets(shape: tuple[int, ...], sizes_BTJ: Ints, before_BT: Ints, taught_BTK: Ints) -> Ints:
    target = np.full(shape, NO_TARGET, np.int64)
    num_out = sizes_BTJ[..., -1]
    last_in = before_BT + sizes_BTJ[..., :-1].sum(-1) - 1
    real = sizes_BTJ[..., 0] > 0
    for step in range(taught_BTK.shape[-1]):
        row, at = np.nonzero(real & (num_out >= step))
        target[row, last_in[row, at] + step] = taught_BTK[row, at, step]
    return target


PER_CELL = ("user_mel", "own_level", "own_present", "out", "heard", "active", "wanted", "family", "typed", "background")


@dataclass(frozen=True)
class Cells:
    """One conversation as plain arrays, T cells of 200 ms; what training eats.

    Attributes
        user_mel: float16 (T, 4, 80), log10 mel magnitudes of the user audio taken in by each cell (said one tick earlier)
        own_level: uint8 (T, 4, 80), dMel levels of the agent's own voice, said one tick earlier
        own_present: bool (T,), whether that voice sounded
        out: int16 (T, K), tokens the agent began in this cell, padded with NO_TOKEN
        heard: int16 (T, 2), heard-word ids by half cell in which the word was completed, NOTHING_HEARD elsewhere
        active: bool (T,), whether a voice at the microphone sounded in this cell
        wanted: int16 (T, K), tokens the agent should have begun in it: the same unless it was wrong
        family: uint8 (T,), which kind of situation the cell is part of, counted from 1; 0 for none
        typed: int16 (T, K), heard-word ids of the text that came in one tick earlier, padded with NO_TOKEN
        background: int16 (T, K), output tokens of what the background handed over one tick earlier, padded with NO_TOKEN
        pictures: uint8 (N, F, Y, X, C), what the camera saw one tick earlier, for the N cells that carry a picture
        picture_cell: int32 (N,), which cells those are, in order
    """

    user_mel: npt.NDArray[np.float16]
    own_level: npt.NDArray[np.uint8]
    own_present: npt.NDArray[np.bool_]
    out: npt.NDArray[np.int16]
    heard: npt.NDArray[np.int16]
    active: npt.NDArray[np.bool_]
    wanted: npt.NDArray[np.int16]
    family: npt.NDArray[np.uint8]
    typed: npt.NDArray[np.int16]
    background: npt.NDArray[np.int16]
    pictures: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 1, 1, 1, 3), np.uint8))
    picture_cell: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in PER_CELL}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"streams of one conversation differ in length: {lengths}; every array has one entry per cell")
        if len(self.pictures) != len(self.picture_cell) or np.any(np.diff(self.picture_cell) <= 0):
            raise ValueError(
                f"{len(self.pictures)} pictures for the cells {self.picture_cell.tolist()}; name one cell per picture, in rising order"
            )

    def __len__(self) -> int:
        return len(self.out)

    def part(self, first: int, cells: int) -> Cells:
        """At most `cells` cells from number `first` on."""
        arrays = {name: getattr(self, name)[first : first + cells] for name in PER_CELL}
        inside = (self.picture_cell >= first) & (self.picture_cell < first + cells)
        return replace(self, **arrays, pictures=self.pictures[inside], picture_cell=self.picture_cell[inside] - np.int32(first))
