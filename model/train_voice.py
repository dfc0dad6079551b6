"""Training of the voice: the vocoder on the teacher's sound, the speech heads on the teacher's mel. One flat loop for each part."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.plan import RELEASE_FRAMES, Lexicon, PlanFrames, Pronunciation, joined, release
from model.saved import read_saved, write_saved
from model.speech import SpeechHead
from model.vocoder import Source, Vocoder, VocoderConfig, mel_frames
from model.voice import Voice, noise

_WARM_FRAMES = 8  # of a crop that begins in the middle of a word; no loss is taken there
_RESOLUTIONS = (256, 512, 1024)
_MAGNITUDE_FLOOR = 3e-4  # about 47 dB under the level of speech
_VOICED = 0.55


@dataclass(frozen=True, eq=False)
class Line:
    """Words that the teacher said one after the other, and the sound: one hop for every frame, the release included."""

    words: tuple[Pronunciation, ...]
    audio_S: Tensor

    @property
    def num_frames(self) -> int:
        return sum(word.num_frames for word in self.words) + RELEASE_FRAMES

    def plan(self, lexicon: Lexicon) -> PlanFrames:
        """What a speech head is told of the line."""
        return joined([*(lexicon.frames(word) for word in self.words), release()])


@dataclass(frozen=True, kw_only=True)
class VoiceTraining:
    """How a part of the voice is trained; minutes are wall time, and the rate falls as a cosine over them."""

    minutes: float = 20.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip: float = 5.0
    warmup_steps: int = 50
    rows: int = 8
    crop_frames: int = 64
    save_every_minutes: float = 2.0
    log_every: int = 25
    seed: int = 0


Step = Callable[[], dict[str, Tensor]]
"""Losses of one step by name; they are summed."""


def fit(
    module: nn.Module,
    step: Step,
    config: VoiceTraining,
    path: Path,
    *,
    kind: Mapping[str, Any],
    now: Callable[[], float],
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    resume: bool = False,
) -> int:
    """Train a part of the voice until its minutes are used up; the number of steps made.

    `path` receives what is needed to resume (module, optimiser, seconds), its `.jsonl` the losses. Raises ResumeError when what it is to
    go on from cannot be read, or is of a module of another `kind` (its sizes, as JSON values).
    """
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=config.learning_rate, betas=(0.8, 0.99), weight_decay=config.weight_decay, fused=True
    )
    steps, seconds = 0, 0.0
    if resume and path.exists():
        saved = read_saved(path, kind)
        module.load_state_dict(saved["module"])
        optimiser.load_state_dict(saved["optimiser"])
        steps, seconds = saved["steps"], saved["seconds"]
    else:
        path.with_suffix(".jsonl").unlink(missing_ok=True)

    def save() -> None:
        write_saved(path, kind, {"module": module.state_dict(), "optimiser": optimiser.state_dict(), "steps": steps, "seconds": seconds})

    last, next_save_s = now(), seconds + config.save_every_minutes * 60
    sums: dict[str, float] = {}
    module.train()
    while seconds < config.minutes * 60:
        share = seconds / (config.minutes * 60)
        rate = config.learning_rate * min(1.0, (steps + 1) / config.warmup_steps) * max(0.01, 0.5 * (1 + math.cos(math.pi * share)))
        losses = step()
        optimiser.zero_grad(set_to_none=True)
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        nn.utils.clip_grad_norm_(module.parameters(), config.clip)
        if not bool(total.isfinite()):
            raise FloatingPointError(f"the loss is {float(total)} at step {steps}; lower learning_rate or resume from the last save")
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        steps += 1
        seconds += now() - last
        last = now()
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) / config.log_every
        if steps % config.log_every == 0:
            row = {"step": steps, "minutes": seconds / 60, "rate": rate, "loss": {k: round(v, 5) for k, v in sums.items()}}
            with path.with_suffix(".jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            report(row)
            sums = {}
        if seconds >= next_save_s:
            next_save_s = seconds + config.save_every_minutes * 60
            save()
    save()
    module.eval()
    return steps


# The vocoder -------------------------------------------------------------------------------------------------------------------


def vocoder_step(vocoder: Vocoder, lines: Sequence[Line], config: VoiceTraining) -> Step:
    """One step of the vocoder on crops of all lines in a row: spectra at three resolutions, and the pitch where there is one."""
    hop = vocoder.config.hop_samples
    audio_S = torch.cat([line.audio_S for line in lines])
    mel_FM = torch.cat([mel_frames(vocoder.config, line.audio_S) for line in lines])
    pitch_F, voiced_F = map(torch.cat, zip(*(pitch_hz(vocoder.config, line.audio_S) for line in lines), strict=True))
    generator = torch.Generator().manual_seed(config.seed)
    loss_of = SpectralLoss(_RESOLUTIONS)

    def step() -> dict[str, Tensor]:
        starts = torch.randint(0, len(mel_FM) - config.crop_frames, (config.rows,), generator=generator)
        index_BF = starts[:, None] + torch.arange(config.crop_frames)
        mel_BFM, true_BF, voiced_BF = mel_FM[index_BF], pitch_F[index_BF], voiced_F[index_BF]
        state = vocoder.start(config.rows)
        source, _ = vocoder.analyse(mel_BFM, state.tails_BNJC)
        guess = (source.pitch_BF.log() - true_BF.log()).abs()
        made_BS, _ = vocoder.synthesise(Source(true_BF, source.bands_BFXM), state)
        true_BS = audio_S.view(-1, hop)[index_BF].flatten(1)
        warm = _WARM_FRAMES * hop
        spectral = loss_of(made_BS[:, warm:], true_BS[:, warm:])
        return {**spectral, "pitch": 2 * (guess * voiced_BF).sum() / voiced_BF.sum().clamp_min(1)}

    return step


class SpectralLoss:
    """How far apart two sounds are to the ear: log magnitudes and spectral convergence at several resolutions (Yamamoto et al. 2020)."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.windows = {size: torch.hann_window(size) for size in sizes}

    def __call__(self, made_BS: Tensor, true_BS: Tensor) -> dict[str, Tensor]:
        """Mean absolute difference of natural-log magnitudes, and relative error of magnitudes."""
        logs, parts = [], []
        for size, window in self.windows.items():
            made, true = (_magnitudes(sound, size, window) for sound in (made_BS, true_BS))
            logs.append((made.clamp_min(_MAGNITUDE_FLOOR).log() - true.clamp_min(_MAGNITUDE_FLOOR).log()).abs().mean())
            parts.append(torch.linalg.vector_norm(made - true) / torch.linalg.vector_norm(true).clamp_min(1e-3))
        return {"log_spectrum": torch.stack(logs).mean(), "convergence": torch.stack(parts).mean()}


def _magnitudes(sound_BS: Tensor, size: int, window: Tensor) -> Tensor:
    """Magnitudes of overlapping frames, divided by the window's gain for noise."""
    frames = sound_BS.unfold(-1, size, size // 4) * window
    gain = float(window.square().sum().sqrt())
    return (torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1) + 1e-12).sqrt() / gain


def pitch_hz(config: VocoderConfig, audio_S: Tensor) -> tuple[Tensor, Tensor]:
    """Pitch of each frame by autocorrelation (float32 [F], carried over unvoiced frames), and 1.0 where there is one.

    Frame f is centred where hop f ends, as mel frames are.
    """
    hop, size = config.hop_samples, 4 * config.hop_samples
    low, high = config.pitch_hz
    padded = F.pad(audio_S, (hop, size))
    frames_FS = padded.unfold(0, size, hop)[: len(audio_S) // hop] * torch.hann_window(size)
    power_FK = torch.fft.rfft(frames_FS, 2 * size).abs().square()
    window_R = torch.fft.irfft(torch.fft.rfft(torch.hann_window(size), 2 * size).abs().square())[:size]
    likeness_FR = torch.fft.irfft(power_FK)[:, :size] / window_R.clamp_min(1e-3)
    likeness_FR = likeness_FR / likeness_FR[:, :1].clamp_min(1e-6)
    shortest, longest = int(config.sample_rate / high), int(config.sample_rate / low)
    best_F, at_F = _earliest_peak(likeness_FR[:, shortest:longest])
    lag_F = at_F + shortest
    left, mid, right = (likeness_FR.gather(1, (lag_F + d)[:, None])[:, 0] for d in (-1, 0, 1))
    bend = (left - 2 * mid + right).clamp_max(-1e-6)
    pitch = config.sample_rate / (lag_F + (0.5 * (left - right) / bend).clamp(-0.5, 0.5))
    loud = frames_FS.square().mean(1).sqrt() > 2e-3
    voiced = (best_F > _VOICED) & loud
    return _carried(pitch, voiced), voiced.float()


def _earliest_peak(likeness_FR: Tensor) -> tuple[Tensor, Tensor]:
    """Height of the highest peak, and the first lag that is a peak nearly as high: the period itself, not a multiple of it."""
    best = likeness_FR.max(1).values
    middle = likeness_FR[:, 1:-1]
    peaks = (middle >= likeness_FR[:, :-2]) & (middle > likeness_FR[:, 2:]) & (middle > 0.85 * best[:, None])
    return best, torch.where(peaks.any(1), peaks.float().argmax(1) + 1, likeness_FR.argmax(1))


def _carried(pitch_F: Tensor, voiced_F: Tensor) -> Tensor:
    """The pitch, in frames without one that of the last frame with one (before the first: of the first)."""
    if not bool(voiced_F.any()):
        return pitch_F
    index = torch.where(voiced_F, torch.arange(len(pitch_F)), -1).cummax(0).values
    return pitch_F[index.clamp_min(int(voiced_F.float().argmax()))]


# The speech head ----------------------------------------------------------------------------------------------------------------


def head_step(head: SpeechHead, lexicon: Lexicon, lines: Sequence[Line], vocoder: VocoderConfig, config: VoiceTraining) -> Step:
    """One step of a speech head on whole lines."""
    plans = [line.plan(lexicon) for line in lines]
    mels = [mel_frames(vocoder, line.audio_S) for line in lines]
    generator = torch.Generator().manual_seed(config.seed)
    draws = _draws(len(lines), config.rows, generator)

    def step() -> dict[str, Tensor]:
        chosen = [int(number) for number in next(draws)]
        identities, places, mel = (
            nn.utils.rnn.pad_sequence(parts, batch_first=True)
            for parts in zip(*((plans[n].identities_FI, plans[n].places_FP, mels[n]) for n in chosen), strict=True)
        )
        real_BF = torch.arange(mel.shape[1]) < torch.tensor([len(mels[n]) for n in chosen])[:, None]
        condition, _ = head.condition(identities, places, head.start(len(chosen)).tails_BNJC)
        return {"mel": head.head.loss(condition, mel, real_BF.float(), generator)}

    return step


@torch.inference_mode()
def mel_distance(voice: Voice, lines: Sequence[Line]) -> float:
    """Mean absolute difference of the head's mel and the teacher's over these lines, in natural logs of magnitude."""
    total, count = 0.0, 0
    for line in lines:
        plan, true = line.plan(voice.lexicon), mel_frames(voice.config.vocoder, line.audio_S)
        drawn = noise(0, 0, len(plan), true.shape[1])[None]
        made, _ = voice.speech(plan.identities_FI[None], plan.places_FP[None], drawn, voice.speech.start())
        total, count = total + float((made[0] - true).abs().sum()), count + true.numel()
    return total / max(count, 1) * voice.config.vocoder.scale_log10 * math.log(10)


def _draws(count: int, rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless draws of line numbers, every line once before any comes again."""
    if count < rows:
        raise ValueError(f"{count} lines are fewer than the {rows} rows of a step; teach more words, or lower rows")
    while True:
        order = torch.randperm(count, generator=generator)
        yield from (order[at : at + rows] for at in range(0, count - rows + 1, rows))
