"""Two ways from what is to be said to mel frames: flow matching, as published for interaction models, and regression on the same inputs.

Flow matching (Lipman et al. 2023, with straight paths as in rectified flow): a network is taught to carry noise to mel along
`x_t = (1 - t) x_0 + t x_1`; sampling follows it in a few Euler steps. Published (TML, May 2026): the audio output is a flow-matching head.
Ours, unpublished: its body, that it guesses the end of the path `x_1` (so one step is the mean, and the last step lands on a guess), how
times are drawn, and that each Euler step carries its own tails, which makes streaming equal to the whole.

Axes: B rows, F frames, M mel bands, C channels of the condition, N blocks, J frames of a tail, L Euler steps, W channels of the body.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.causal import CausalStack, StackConfig

TIME_PAIRS = 8
"""Sine and cosine pairs in which a head is told the time on the path."""
_LARGEST_WEIGHT = 8.0


def _body() -> StackConfig:
    return StackConfig(width=128, hidden=256, num_blocks=2)


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """A flow-matching head. More `steps` follow the flow more closely and cost as many passes; `noise_scale` 0 always starts from zeros."""

    stack: StackConfig = field(default_factory=_body)
    film_hidden: int = 64
    steps: int = 2
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1; one Euler step is the fastest head")
        if not 0 <= self.noise_scale < math.inf:
            raise ValueError(
                f"noise_scale={self.noise_scale} must be 0 or more, and finite; 0 takes the likeliest sound, 1 draws as trained"
            )


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """A head that gives the mean: the same body in one pass, without noise or time."""

    stack: StackConfig = field(default_factory=_body)


HeadConfig = FlowConfig | RegressionConfig


class RegressionHead(nn.Module):
    """Mel frames as a plain function of the condition, trained on absolute difference."""

    def __init__(self, config: RegressionConfig, condition_width: int, num_mel: int) -> None:
        super().__init__()
        self.config = config
        self.lift = nn.Linear(condition_width, config.stack.width)
        self.body = CausalStack(config.stack)
        self.out = nn.Linear(config.stack.width, num_mel)

    def start(self, rows: int) -> Tensor:
        """The tails before the first frame, [B, 1, N, J, W]."""
        return self.body.start(rows)[:, None]

    def forward(self, condition_BFC: Tensor, noise_BFM: Tensor, tails_BLNJW: Tensor) -> tuple[Tensor, Tensor]:
        """Mel frames [B, F, M] and the tails after them; the noise is not used."""
        hidden, tails = self.body(self.lift(condition_BFC), tails_BLNJW[:, 0])
        return self.out(hidden), tails[:, None]

    def loss(self, condition_BFC: Tensor, mel_BFM: Tensor, real_BF: Tensor, generator: torch.Generator) -> Tensor:
        """Mean absolute difference over the real frames."""
        made, _ = self(condition_BFC, mel_BFM, self.start(len(mel_BFM)))
        return _mean((made - mel_BFM).abs(), real_BF)


class FlowHead(nn.Module):
    """Mel frames drawn by carrying noise along a learned flow, all frames of a chunk together."""

    def __init__(self, config: FlowConfig, condition_width: int, num_mel: int) -> None:
        super().__init__()
        self.config = config
        stack = config.stack
        self.lift = nn.Linear(condition_width, stack.width)
        self.lift_mel = nn.Linear(num_mel, stack.width, bias=False)
        self.body = CausalStack(stack)
        self.film = nn.Sequential(
            nn.Linear(2 * TIME_PAIRS, config.film_hidden), nn.SiLU(), nn.Linear(config.film_hidden, 2 * stack.num_blocks * stack.width)
        )
        self.out = nn.Linear(stack.width, num_mel)

    def start(self, rows: int) -> Tensor:
        """The tails before the first frame, [B, L, N, J, W]: one set for each Euler step."""
        return self.body.start(rows)[:, None].repeat(1, self.config.steps, 1, 1, 1)

    def forward(self, condition_BFC: Tensor, noise_BFM: Tensor, tails_BLNJW: Tensor) -> tuple[Tensor, Tensor]:
        """Mel frames [B, F, M] that this noise (of unit variance) is carried to, and the tails after them.

        Raises ValueError when the tails are those of another number of steps.
        """
        steps = self.config.steps
        if tails_BLNJW.shape[1] != steps:
            raise ValueError(f"a state of {tails_BLNJW.shape[1]} Euler steps cannot go on in {steps}; start anew after changing steps")
        lifted = self.lift(condition_BFC)
        x_BFM = noise_BFM * self.config.noise_scale
        after = []
        for number in range(steps):
            time = number / steps
            guess, tails = self.guess(x_BFM, x_BFM.new_full((len(x_BFM),), time), lifted, tails_BLNJW[:, number])
            x_BFM = x_BFM + (guess - x_BFM) / (steps * (1 - time))
            after.append(tails)
        return x_BFM, torch.stack(after, 1)

    def guess(self, x_BFM: Tensor, time_B: Tensor, lifted_BFW: Tensor, tails_BNJW: Tensor) -> tuple[Tensor, Tensor]:
        """Where the path through `x` at this time ends, [B, F, M], and the tails after it."""
        turns = time_B[:, None] * 2.0 ** torch.arange(TIME_PAIRS, device=time_B.device) * (torch.pi / 2)
        film = self.film(torch.cat([turns.sin(), turns.cos()], -1)).unflatten(-1, (2, self.config.stack.num_blocks, 1, -1))
        scale, shift = film.permute(1, 2, 0, 3, 4)
        hidden, tails = self.body(lifted_BFW + self.lift_mel(x_BFM), tails_BNJW, (scale, shift))
        return self.out(hidden), tails

    def loss(self, condition_BFC: Tensor, mel_BFM: Tensor, real_BF: Tensor, generator: torch.Generator) -> Tensor:
        """Squared error of the velocity over the real frames, at one time per row, its weight held below a bound near the end."""
        time_B = torch.randn(len(mel_BFM), generator=generator).sigmoid()
        at = time_B[:, None, None]
        noise = torch.randn(mel_BFM.shape, generator=generator)
        x_BFM = (1 - at) * noise + at * mel_BFM
        guess, _ = self.guess(x_BFM, time_B, self.lift(condition_BFC), self.body.start(len(mel_BFM)))
        weight = (1 - at).square().reciprocal().clamp_max(_LARGEST_WEIGHT)
        return _mean(weight * (guess - mel_BFM).square(), real_BF)


def build_head(config: HeadConfig, condition_width: int, num_mel: int) -> FlowHead | RegressionHead:
    """The head of these settings."""
    if isinstance(config, FlowConfig):
        return FlowHead(config, condition_width, num_mel)
    return RegressionHead(config, condition_width, num_mel)


def _mean(values_BFM: Tensor, real_BF: Tensor) -> Tensor:
    return (values_BFM.mean(-1) * real_BF).sum() / real_BF.sum()
