"""The speech head: from what is being said, and where it is asked for the state of the cell, to the mel frames of the next 200 ms.

    phones with durations (plan.py), cell state if `cell_width` -> causal stack -> flow-matching or regression head (flow.py)
        -> mel frames -> vocoder.py

Published (TML, May 2026): mel through a flow-matching head, conditioned on the model's state. **The shipped voice does neither**: its head
is a regression and has `cell_width` 0, so that the words alone decide the sound. It is trained by itself (`train_voice.py`), on a teacher's
lines and without a model, where there is no cell whose state could be given; no training here makes a head that listens to one.

Ours, unpublished: phones with durations as what is being said, frames of 12.5 ms, and that a frame is told its place instead of the mel
before it, so that errors cannot pile up.

Axes: B rows, F frames, I phone identities of a frame, P places, M mel bands, C channels, D width of a cell's state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.causal import CausalStack, StackConfig
from model.flow import HeadConfig, RegressionConfig, build_head
from model.plan import NUM_IDENTITIES, NUM_PLACES


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Sizes of the speech head. `cell_width` is the width of the cell's state it listens to; 0: the words alone decide the sound."""

    num_phones: int
    num_mel: int = 80
    phone_width: int = 32
    stack: StackConfig = field(default_factory=lambda: StackConfig(width=160, hidden=320, num_blocks=3))
    head: HeadConfig = field(default_factory=RegressionConfig)
    cell_width: int = 0

    def __post_init__(self) -> None:
        if self.num_phones < 1:
            raise ValueError(f"num_phones={self.num_phones} must be at least 1; count the phones of the lexicon")


@dataclass(frozen=True)
class SpeechState:
    """The tails of the stack and of the head, one row per session. A value: stepping makes a new one."""

    tails_BNJC: Tensor
    head_BLNJW: Tensor


class SpeechHead(nn.Module):
    """Planned frames to mel frames, whole or in pieces."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.config = config
        width = config.stack.width
        self.phones = nn.Embedding(config.num_phones + 1, config.phone_width)
        self.told = nn.Linear(NUM_IDENTITIES * config.phone_width + 2 * NUM_PLACES, width)
        self.cell = nn.Linear(config.cell_width, width, bias=False) if config.cell_width else None
        if self.cell is not None:
            nn.init.zeros_(self.cell.weight)
        self.stack = CausalStack(config.stack)
        self.head = build_head(config.head, width, config.num_mel)

    def start(self, rows: int = 1) -> SpeechState:
        """The state before the first frame of an utterance."""
        return SpeechState(self.stack.start(rows), self.head.start(rows))

    def forward(
        self, identities_BFI: Tensor, places_BFP: Tensor, noise_BFM: Tensor, state: SpeechState, cell_BD: Tensor | None = None
    ) -> tuple[Tensor, SpeechState]:
        """Mel frames [B, F, M] of the planned frames, and the state after them; in pieces the same as whole.

        Raises ValueError when a cell state is missing or not asked for.
        """
        condition, tails = self.condition(identities_BFI, places_BFP, state.tails_BNJC, cell_BD)
        mel, head = self.head(condition, noise_BFM, state.head_BLNJW)
        return mel, SpeechState(tails, head)

    def condition(
        self, identities_BFI: Tensor, places_BFP: Tensor, tails_BNJC: Tensor, cell_BD: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What both kinds of head see, [B, F, C], and the tails after it."""
        phones = self.phones(identities_BFI).flatten(-2)
        x = self.told(torch.cat([phones, places_BFP, (-places_BFP).exp()], -1))
        if (self.cell is None) != (cell_BD is None):
            given = "none was given" if cell_BD is None else "one was given"
            raise ValueError(
                f"this speech head has cell_width={self.config.cell_width} and {given}; give the cell's state where it is wanted"
            )
        if self.cell is not None:
            x = x + self.cell(cell_BD)[:, None]
        return self.stack(x, tails_BNJC)
