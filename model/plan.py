"""What is to be said, on the frame grid of the voice: words as phones with durations, and what the speech head is told of each frame.

A frame is told only of its own word, so what a word sounds like never depends on words that are not yet decided.

Axes: F frames, I phone identities of a frame, P places of a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

NO_PHONE = 0
"""Before a word, after it, and in its release."""
RELEASE_FRAMES = 3
"""Frames in which the last word before a silence rings out."""
NUM_IDENTITIES = 5
NUM_PLACES = 6


@dataclass(frozen=True)
class Pronunciation:
    """A word as phones, each with the frames it lasts."""

    phones: tuple[str, ...]
    frames: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.phones or len(self.phones) != len(self.frames) or min(self.frames) < 1:
            raise ValueError(f"phones {self.phones} with frames {self.frames}: give one or more phones and at least one frame for each")

    @property
    def num_frames(self) -> int:
        """Frames from the beginning of the first phone to the end of the last."""
        return sum(self.frames)


@dataclass(frozen=True)
class Lexicon:
    """The words a voice can say. Phones are numbered from 1 in the order of `phones`."""

    phones: tuple[str, ...]
    words: Mapping[str, Pronunciation]
    _numbers: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", {phone: number for number, phone in enumerate(self.phones, 1)})
        for word, said in self.words.items():
            if unknown := set(said.phones) - set(self.phones):
                raise ValueError(f"word {word!r} uses phones {sorted(unknown)} that are not in the inventory; add them to `phones`")

    def __getitem__(self, word: str) -> Pronunciation:
        if word not in self.words:
            raise ValueError(f"this voice has no pronunciation of {word!r}; train the voice with that word, or choose another word")
        return self.words[word]

    def number(self, phone: str) -> int:
        """The number of a phone, from 1."""
        return self._numbers[phone]

    def frames(self, said: Pronunciation) -> PlanFrames:
        """What the head is told of each frame of a word."""
        numbers = [NO_PHONE, NO_PHONE, *(self._numbers[phone] for phone in said.phones), NO_PHONE, NO_PHONE]
        identities, places, at = [], [], 0
        for index, length in enumerate(said.frames):
            for inside in range(length):
                identities.append(numbers[index : index + NUM_IDENTITIES])
                left = said.num_frames - at - 1
                places.append([inside + 1, length - inside, length, at + 1, left + 1, said.num_frames])
                at += 1
        return PlanFrames(torch.tensor(identities), torch.tensor(places, dtype=torch.float32).log())


@dataclass(frozen=True)
class PlanFrames:
    """Frames to be spoken.

    `identities` [F, I] are the phones two and one before, of, and one and two after the frame within its word; `places` [F, P] the natural
    logs of frames since and until the phone's ends, its length, and the same of the word.
    """

    identities_FI: Tensor
    places_FP: Tensor

    def __len__(self) -> int:
        return len(self.identities_FI)

    def __getitem__(self, frames: slice) -> PlanFrames:
        return PlanFrames(self.identities_FI[frames], self.places_FP[frames])


def no_frames() -> PlanFrames:
    """A plan of no frames."""
    return PlanFrames(torch.zeros(0, NUM_IDENTITIES, dtype=torch.long), torch.zeros(0, NUM_PLACES))


def release(frames: int = RELEASE_FRAMES) -> PlanFrames:
    """The frames after the last word: no phone, and how long ago the word ended."""
    places = torch.zeros(frames, NUM_PLACES)
    places[:, 0] = torch.arange(1, frames + 1).log()
    return PlanFrames(torch.full((frames, NUM_IDENTITIES), NO_PHONE), places)


def joined(parts: Sequence[PlanFrames]) -> PlanFrames:
    """Plans one after the other."""
    return PlanFrames(torch.cat([p.identities_FI for p in parts]), torch.cat([p.places_FP for p in parts]))


def on_the_grid(ends_s: Sequence[float], frame_s: float) -> tuple[int, ...]:
    """How many frames each phone lasts, given where phones end: the nearest frame, but at least one frame each."""
    lengths, before = list[int](), 0
    for end_s in ends_s:
        end = max(before + 1, round(end_s / frame_s))
        lengths.append(end - before)
        before = end
    return tuple(lengths)
