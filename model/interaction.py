"""The interaction model, the file to read first: cells in, outputs and heard words out, whole or 200 ms at a time.

    raw audio -> dMel levels -> embedded positions, laid out by `layout.plan` -> trunk -> text head, heard-words head

Streaming is the same `forward`, given a `ModelState` and one cell. Published parts: dMel in, image patches, one flat sequence of
200 ms cells, everything trained together (TML, May 2026; Inkling, July 2026). Ours, unpublished: the heard-words head and its
feedback into the next cell mark.
"""

# B rows, P positions, T cells, A frames per cell (4), M mel bands, S samples, D width, H heard-words slots, N predictions, V vocabulary

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from model.blocks import RMSNorm
from model.config import ModelConfig
from model.dmel import DMel, DMelState
from model.embed import AudioEmbedding, MelEmbedding, PatchEmbedding, normed_pixels
from model.hooks import Tap, Watching
from model.layout import HALVES, NO_TARGET, NO_TOKEN, NOTHING_HEARD, Counts, Kind, Plan, plan
from model.tensors import sent
from model.trunk import Trunk, TrunkState


@dataclass
class CellBatch:
    """The inputs of a batch of cells, laid out by `plan`. Levels are uint8 dMel levels, tokens are int64 ids padded with NO_TOKEN."""

    plan: Plan
    user_BTAM: Tensor
    user_before_BAM: Tensor  # frames of the cell before the first one
    own_BTAM: Tensor
    own_before_BAM: Tensor
    heard_before_BTH: Tensor  # words the model heard in the cell before each cell
    counter_BT: Tensor  # number of the cell in its session; survives trimming of the window
    out_BTK: Tensor
    typed_BTK: Tensor | None = None  # ids of heard words: a word typed is embedded as the same word heard
    background_BTK: Tensor | None = None
    patches_NFYXC: Tensor | None = None  # uint8; one patch for each PATCH position, in the order of the plan

    def to(self, device: torch.device) -> CellBatch:
        """The same on a device; the plan stays where it is."""
        return replace(self, **{name: sent(part, device) for name, part in vars(self).items() if isinstance(part, Tensor)})


@dataclass
class Outputs:
    """Predictions: text logits where the plan asks for a target (row-major order), heard words and voice activity per cell.

    `cell_BTD` is the state of each cell at its last input: what the outputs and the speech head are made from.
    """

    text_NV: Tensor
    heard_BTHV: Tensor
    active_BT: Tensor
    cell_BTD: Tensor


@dataclass
class ModelState:
    """All that a streaming session carries from one cell to the next, one row per session.

    Append-only: a step returns a new state and may reuse the old one's buffers, so `clone()` before keeping an old state.
    """

    trunk: TrunkState
    user_tail_BS: Tensor
    own_tail_BS: Tensor
    user_before_BAM: Tensor
    own_before_BAM: Tensor
    heard_before_BH: Tensor  # the words fed to the next cell mark, each once
    last_half_B: Tensor  # what the head named in the last half cell
    counter_B: Tensor
    said_B: Tensor  # how many tokens the cell has said so far

    def clone(self) -> ModelState:
        """A copy that shares nothing: the fork of a session."""
        parts = {name: part.clone() for name, part in vars(self).items()}
        return ModelState(**parts)

    def rows(self, index: Tensor) -> ModelState:
        """The sessions of the given rows, copied."""
        parts = {n: part[index].clone() if isinstance(part, Tensor) else part.rows(index) for n, part in vars(self).items()}
        return ModelState(**parts)

    @staticmethod
    def stack(states: list[ModelState]) -> ModelState:
        """One state of all rows of the given states, in order."""
        first = states[0]
        parts = {}
        for name, part in vars(first).items():
            each = [getattr(state, name) for state in states]
            parts[name] = torch.cat(each) if isinstance(part, Tensor) else type(part).stack(each)
        return ModelState(**parts)

    def to_dict(self) -> dict[str, Tensor]:
        """Every tensor by a dotted name, ready for safetensors."""
        flat: dict[str, Tensor] = {}
        for name, part in vars(self).items():
            inner = {"": part} if isinstance(part, Tensor) else part.to_dict()
            flat.update({f"{name}.{key}".rstrip("."): value.contiguous() for key, value in inner.items()})
        return flat

    @staticmethod
    def from_dict(flat: dict[str, Tensor]) -> ModelState:
        """The state saved by `to_dict`."""
        names = [name for name in ModelState.__dataclass_fields__ if name != "trunk"]
        inner = {key.removeprefix("trunk."): value for key, value in flat.items() if key.startswith("trunk.")}
        return ModelState(trunk=TrunkState.from_dict(inner), **{name: flat[name].clone() for name in names})


@dataclass
class Snapshot:
    """The last committed state of a session: `commit` moves it forward, `rollback` returns to it, e.g. after an aborted cell."""

    committed: ModelState

    @classmethod
    def of(cls, state: ModelState) -> Snapshot:
        return cls(state.clone())

    def commit(self, state: ModelState) -> None:
        """Make `state` the one to return to."""
        self.committed = state.clone()

    def rollback(self) -> ModelState:
        """The last committed state, to go on from."""
        return self.committed.clone()


class CounterEmbedding(nn.Module):
    """The number of the cell as sinusoids of periods 2 to 2 ** pairs cells, projected: a clock that trimming does not stop."""

    def __init__(self, pairs: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rate_F", 2 * torch.pi / 2.0 ** torch.arange(1, pairs + 1), persistent=False)
        self.project = nn.Linear(2 * pairs, width, bias=False)

    def forward(self, counter_BT: Tensor) -> Tensor:
        period = (2 * torch.pi / self.rate_F).round().long()
        angle = (counter_BT[..., None] % period).float() * self.rate_F
        return self.project(torch.cat([angle.sin(), angle.cos()], -1))


class Fold(nn.Module):
    """The four dMel frames of a cell folded into one vector, seeing also the four before: a deviation from the published front end.

    dMel embeddings themselves are as published; with the folded sound on the cell mark a cell is one position instead of five.
    """

    def __init__(self, frames: int, audio_width: int, hidden: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * frames * audio_width, hidden), nn.GELU(), nn.Linear(hidden, width, bias=False), RMSNorm(width)
        )

    def forward(self, now_BTAD: Tensor, before_BTAD: Tensor) -> Tensor:
        both = torch.cat([before_BTAD, now_BTAD], -2)
        return self.layers(both.flatten(-2))


class InteractionModel(nn.Module):
    """A model that listens, decides and speaks in cells of 200 ms."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.watching: Watching = {}
        width = config.trunk.width
        hop = DMel.sample_rate * config.hop_ms // 1000
        self.dmel = DMel(hop_samples=hop, n_fft=2 * hop)
        frames = config.frames_per_cell
        embedding = AudioEmbedding if config.audio_input == "dmel" else MelEmbedding
        self.audio = embedding(config.num_mel, config.num_audio_levels, config.audio_width)
        self.fold = Fold(frames, config.audio_width, config.fold_hidden, width)
        self.unfolded = nn.Linear(config.audio_width, width, bias=False) if config.audio_fold == 1 else None
        self.patches = PatchEmbedding(config.vision, width) if config.vision else None
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.heard = nn.ModuleList(nn.Embedding(config.hear_vocab_size, width) for _ in range(HALVES))
        self.counter = CounterEmbedding(config.counter_pairs, width) if config.counter_pairs else None
        self.kinds = nn.Embedding(len(Kind), width)
        self.input_norm = RMSNorm(width)
        self.trunk = Trunk(config.trunk)
        self.text_head = nn.Linear(width, config.vocab_size)
        self.hear_head = nn.Linear(width, HALVES * config.hear_vocab_size)
        self.active_head = nn.Linear(width, 1)
        for table in (self.tokens, *self.heard, self.kinds):
            nn.init.normal_(table.weight, std=1.0)

    def forward(self, cells: CellBatch, state: TrunkState | None = None) -> tuple[Outputs, TrunkState | None]:
        """Predictions for all cells; with a state the cells are appended to it, and the state after them is returned."""
        tap = self._tap(cells.plan, cells.counter_BT) if self.watching else None
        x_BPD = self.embed(cells)
        lengths = None if state is None else torch.from_numpy(cells.plan.length_B)
        y_BPD, after = self.trunk(x_BPD if tap is None else tap("embed", x_BPD), state, lengths, tap)
        if tap is not None:
            y_BPD = tap("final", y_BPD)
        asks = sent(np.flatnonzero(cells.plan.target_BP != NO_TARGET), y_BPD.device)
        listen_BTD = torch.take_along_dim(y_BPD, sent(cells.plan.listen_BT, y_BPD.device)[..., None], 1)
        heard = self.hear_head(listen_BTD).unflatten(-1, (HALVES, -1))
        out = Outputs(self.text_head(y_BPD.flatten(0, 1)[asks]), heard, self.active_head(listen_BTD)[..., 0], listen_BTD)
        return out if tap is None else _tapped(out, cells.plan, tap), after

    def _tap(self, laid: Plan, counter_BT: Tensor) -> Tap:
        tick_BP = counter_BT.numpy()[np.arange(len(laid.cell_BP))[:, None], laid.cell_BP]
        return Tap(self.watching, laid.kind_BP, tick_BP, laid.part_BP)

    def _tap_on_output(self, state: ModelState, speaks_B: Tensor) -> Tap:
        kind_BP = np.where(speaks_B[:, None].numpy() > 0, int(Kind.OUT), int(Kind.PAD))
        return Tap(self.watching, kind_BP, state.counter_B[:, None].numpy() - 1, state.said_B[:, None].numpy())

    def embed(self, cells: CellBatch) -> Tensor:
        """(B, P, D): what each position carries, gathered from one table of all sources in the order of the plan."""
        shape = (*cells.counter_BT.shape, self.config.trunk.width)
        mark = self.kinds.weight.new_zeros(shape) if self.counter is None else self.counter(cells.counter_BT)
        for half, table in enumerate(self.heard):
            mark = mark + table(cells.heard_before_BTH[..., half]) * (cells.heard_before_BTH[..., half, None] > 0)
        frames = self.audio(cells.user_BTAM)
        sources: dict[Kind, Tensor] = {}
        if self.unfolded is not None:
            sources[Kind.USER_AUDIO] = self.unfolded(frames)
        else:
            mark = mark + self.fold(frames, _shifted(frames, self.audio(cells.user_before_BAM)))
        sources |= {Kind.MARK: mark[:, :, None], Kind.OWN_VOICE: self._own_voice(cells)[:, :, None]}
        few = {Kind.OUT: self.tokens(_at(cells.out_BTK, Kind.OUT, cells.plan))}
        if cells.typed_BTK is not None:
            few[Kind.TYPED] = self.heard[0](_at(cells.typed_BTK, Kind.TYPED, cells.plan))
        if cells.background_BTK is not None:
            few[Kind.BACKGROUND] = self.tokens(_at(cells.background_BTK, Kind.BACKGROUND, cells.plan))
        patches = None if cells.patches_NFYXC is None else self._patches(cells.patches_NFYXC)
        if patches is not None:
            few[Kind.PATCH] = patches
        x_BPD = self._gather(sources, few, cells.plan)
        if self.patches is not None and patches is None and torch.is_grad_enabled():
            # Processes that train together must all have a gradient for every weight, also those whose batch holds no picture.
            x_BPD = x_BPD + 0.0 * sum(weight.sum() for weight in self.patches.parameters())
        return x_BPD

    def _patches(self, pixels_NFYXC: Tensor) -> Tensor:
        vision, shape = self.config.vision, tuple(pixels_NFYXC.shape[1:])
        if self.patches is None or vision is None:
            raise ValueError(
                "this model was built without vision (config.vision is None); send no pictures, or build it with a VisionConfig"
            )
        wanted = (vision.frames, vision.patch, vision.patch, vision.channels)
        if shape != wanted:
            raise ValueError(f"pictures of {shape} (frames, height, width, channels) for a model that takes {wanted}; fit them first")
        return self.patches(normed_pixels(pixels_NFYXC))

    def _gather(self, sources: dict[Kind, Tensor], few: dict[Kind, Tensor], laid: Plan) -> Tensor:
        """(B, P, D) of sources that hold something for every cell, (B, T, N, D), and of those with one row a position, in their order."""
        rows, cells = laid.listen_BT.shape
        index = np.zeros(laid.shape, np.int64)
        tables = []
        offset = 0
        row = np.arange(rows)[:, None]
        for kind, source in sources.items():
            here = laid.kind_BP == kind
            index = np.where(here, offset + (row * cells + laid.cell_BP) * source.shape[2] + laid.part_BP, index)
            tables.append(source.reshape(-1, source.shape[-1]).to(sources[Kind.MARK].dtype))
            offset += tables[-1].shape[0]
        for kind, source_ND in few.items():
            here = laid.kind_BP == kind
            index[here] = offset + np.arange(here.sum())
            tables.append(source_ND.to(sources[Kind.MARK].dtype))
            offset += len(source_ND)
        table = torch.cat(tables)
        x = table.index_select(0, sent(index.ravel(), table.device)).unflatten(0, laid.shape)
        return self.input_norm(x + self.kinds(sent(laid.kind_BP, table.device)))

    def _own_voice(self, cells: CellBatch) -> Tensor:
        """(B, T, D): the own voice folded, computed only for the cells in which it sounded; zero in the others."""
        row, at = np.nonzero(cells.plan.kind_BP == Kind.OWN_VOICE)
        if not len(row):
            return self.kinds.weight.new_zeros((*cells.own_BTAM.shape[:2], self.config.trunk.width))
        device = cells.own_BTAM.device
        which = sent(row, device), sent(cells.plan.cell_BP[row, at], device)
        now_NAM, before_NAM = (levels[which] for levels in (cells.own_BTAM, _shifted(cells.own_BTAM, cells.own_before_BAM)))
        folded_ND = self.fold(self.audio(now_NAM), self.audio(before_NAM))
        own_BTD = folded_ND.new_zeros((*cells.own_BTAM.shape[:2], folded_ND.shape[-1]))
        return own_BTD.index_put(which, folded_ND)

    # Streaming ---------------------------------------------------------------------------------------------------------------

    def start(self, rows: int = 1) -> ModelState:
        """The state of `rows` sessions before their first cell."""
        quiet = self.frames_of(torch.full((rows, self.config.frames_per_cell, self.config.num_mel), self.dmel.low_log10))
        return ModelState(
            trunk=self.trunk.start(rows),
            user_tail_BS=self.dmel.start(rows).tail_S,
            own_tail_BS=self.dmel.start(rows).tail_S,
            user_before_BAM=quiet,
            own_before_BAM=quiet.clone(),
            heard_before_BH=torch.zeros((rows, HALVES), dtype=torch.long),
            last_half_B=torch.zeros(rows, dtype=torch.long),
            counter_B=torch.zeros(rows, dtype=torch.long),
            said_B=torch.zeros(rows, dtype=torch.long),
        )

    def levels_of(self, state: ModelState, user_BS: Tensor, own_BS: Tensor) -> tuple[Tensor, Tensor, ModelState]:
        """dMel levels (B, A, M) of the user's and the model's own 200 ms, and the state with the front end moved on."""
        user, user_tail = self.dmel.step(DMelState(state.user_tail_BS), user_BS)
        own, own_tail = self.dmel.step(DMelState(state.own_tail_BS), own_BS)
        after = replace(state, user_tail_BS=user_tail.tail_S, own_tail_BS=own_tail.tail_S)
        return self.frames_of(user), self.frames_of(own), after

    def frames_of(self, log_mel_FM: Tensor) -> Tensor:
        """What the audio embedding takes of log10 mel magnitudes: their dMel levels, or themselves on a scale of 0 to 1."""
        return self.dmel.levels(log_mel_FM) if self.config.audio_input == "dmel" else self.dmel.scaled(log_mel_FM)

    def listen(
        self,
        state: ModelState,
        user_BAM: Tensor,
        own_BAM: Tensor,
        own_present_B: Tensor,
        typed_BK: Tensor | None = None,
        pictures: Sequence[Tensor | None] | None = None,
        background_BK: Tensor | None = None,
    ) -> tuple[Outputs, ModelState]:
        """Take in one cell of every row: logits of the first output (B, V), heard words (B, 1, H, V) and voice activity (B, 1).

        `typed_BK` holds ids of heard words, `background_BK` output tokens, both padded with NO_TOKEN. `pictures` holds what each row's
        camera saw, uint8 (F, Y, X, C), or None for a row that sees nothing in this cell.
        """
        rows = len(user_BAM)
        counts = Counts.audio_only(own_present_B[:, None].numpy())
        if typed_BK is not None:
            counts = replace(counts, typed=(typed_BK != NO_TOKEN).sum(-1, keepdim=True).numpy())
        if background_BK is not None:
            counts = replace(counts, background=(background_BK != NO_TOKEN).sum(-1, keepdim=True).numpy())
        shown = [picture for picture in pictures or () if picture is not None]
        if pictures is not None and shown:
            counts = replace(counts, patches=np.array([[int(picture is not None)] for picture in pictures]))
        no_out = np.full((rows, 1, 1), NO_TOKEN, np.int64)
        cells = CellBatch(
            plan=plan(counts, no_out, self.config.audio_positions),
            user_BTAM=user_BAM[:, None],
            user_before_BAM=state.user_before_BAM,
            own_BTAM=own_BAM[:, None],
            own_before_BAM=state.own_before_BAM,
            heard_before_BTH=state.heard_before_BH[:, None],
            counter_BT=state.counter_B[:, None],
            out_BTK=torch.from_numpy(no_out),
            typed_BTK=None if typed_BK is None else typed_BK[:, None],
            background_BTK=None if background_BK is None else background_BK[:, None],
            patches_NFYXC=torch.stack(shown) if shown else None,
        )
        out, trunk = self(cells, state.trunk)
        assert trunk is not None
        named_BH = out.heard_BTHV[:, 0].argmax(-1)
        after = replace(
            state,
            trunk=trunk,
            user_before_BAM=user_BAM,
            own_before_BAM=own_BAM,
            heard_before_BH=each_word_once(named_BH, state.last_half_B),
            last_half_B=named_BH[:, -1],
            counter_B=state.counter_B + 1,
            said_B=torch.zeros_like(state.said_B),
        )
        return out, after

    def say(self, state: ModelState, token_B: Tensor) -> tuple[Tensor, ModelState]:
        """Append one output token to the rows where it is not NO_TOKEN: logits (B, V) of the next output, and the state after it."""
        speaks = (token_B != NO_TOKEN).long()
        kinds = torch.full((len(token_B), 1), int(Kind.OUT))
        x_BPD = self.input_norm(self.tokens(token_B.clamp(min=0))[:, None] + self.kinds(kinds))
        tap = self._tap_on_output(state, speaks) if self.watching else None
        y_BPD, trunk = self.trunk(x_BPD if tap is None else tap("embed", x_BPD), state.trunk, speaks, tap)
        assert trunk is not None
        if tap is not None:
            y_BPD = tap("final", y_BPD)
        logits_BV = self.text_head(y_BPD[:, 0])
        if tap is not None:
            logits_BV = tap("head.text", logits_BV[:, None])[:, 0]
        return logits_BV, replace(state, trunk=trunk, said_B=state.said_B + speaks)


def _tapped(out: Outputs, laid: Plan, tap: Tap) -> Outputs:
    """The outputs as the watchers of the heads let them go on."""
    text_NV = tap.some("head.text", out.text_NV, laid.target_BP != NO_TARGET)
    heard_BTHV = tap.cells("head.heard", out.heard_BTHV, laid.listen_BT)
    return Outputs(text_NV, heard_BTHV, tap.cells("head.active", out.active_BT, laid.listen_BT), out.cell_BTD)


def each_word_once(named_BH: Tensor, before_B: Tensor) -> Tensor:
    """The words named in consecutive half cells with repetitions silenced: a word that ends near an edge is often named on both sides.

    `before_B` is what was named in the half cell before the first.
    """
    previous_BH = torch.cat([before_B[:, None], named_BH[:, :-1]], 1)
    return torch.where(named_BH == previous_BH, NOTHING_HEARD, named_BH)


def _at(tokens_BTK: Tensor, kind: Kind, laid: Plan) -> Tensor:
    """(N,): the tokens of the positions of a kind, in their order."""
    row, at = np.nonzero(laid.kind_BP == kind)
    where = (row, laid.cell_BP[row, at], laid.part_BP[row, at])
    return tokens_BTK[tuple(sent(part, tokens_BTK.device) for part in where)]


def _shifted(x_BTAC: Tensor, before_BAC: Tensor) -> Tensor:
    """The same one cell later, `before` first."""
    return torch.cat([before_BAC[:, None], x_BTAC[:, :-1]], 1)


def num_parameters(model: nn.Module) -> int:
    """Trainable numbers in a model."""
    return sum(p.numel() for p in model.parameters())
