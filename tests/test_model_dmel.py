"""dMel levels equal the published front end, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from torch import Tensor
from transformers.models.inkling.feature_extraction_inkling import InklingFeatureExtractor

from model.dmel import DMel
from workbench.recordings import speech_folder

SAMPLES_PER_CELL = 3200


@pytest.fixture(scope="module")
def published() -> object:
    return InklingFeatureExtractor()


def published_levels(published: object, audio: Tensor) -> tuple[Tensor, Tensor]:
    """log-mel and levels as the published extractor and processor compute them."""
    log_mel = published(audio, sampling_rate=16_000, return_tensors="pt")["input_features"][0]  # type: ignore[operator]
    centres = torch.linspace(-7.0, 2.0, 16, dtype=torch.float64).to(torch.float32)
    return log_mel, (log_mel.clamp(-7.0, 2.0)[..., None] - centres).abs().argmin(-1)


def sounds() -> Iterator[tuple[str, Tensor]]:
    noise = torch.Generator().manual_seed(1)
    second = torch.arange(32_000) / 16_000
    yield "noise of a length that is no multiple of a hop", torch.randn(48_077, generator=noise) * 0.1
    yield "full scale", torch.rand(32_000, generator=noise) * 2 - 1
    yield "barely audible", torch.randn(32_000, generator=noise) * 1e-4
    yield "digital silence", torch.zeros(16_000)
    yield "a rising tone", 0.3 * torch.sin(2 * torch.pi * (100 + 900 * second) * second)
    yield "shorter than a hop", torch.randn(123, generator=noise)


def recordings() -> list[Path]:
    found = sorted(p for p in speech_folder().rglob("*") if p.suffix in (".wav", ".flac"))
    return found[:: max(1, len(found) // 20)]


@pytest.mark.parametrize(("name", "audio"), list(sounds()))
def test_levels_equal_the_published_extractor(published: object, name: str, audio: Tensor) -> None:
    log_mel, levels = published_levels(published, audio)
    ours = DMel().log_mel(audio)
    torch.testing.assert_close(ours, log_mel, rtol=0, atol=1e-5)
    assert torch.equal(DMel().levels(ours).long(), levels)


@pytest.mark.skipif(not recordings(), reason="no recordings: MICROTURN_SPEECH names no folder with WAV or FLAC files")
def test_levels_of_recorded_speech_equal_the_published_extractor_whole_and_streamed(published: object) -> None:
    for path in recordings():
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        audio = torch.from_numpy(np.ascontiguousarray(soxr.resample(samples.mean(1), rate, 16_000)))
        log_mel, levels = published_levels(published, audio)
        torch.testing.assert_close(DMel().log_mel(audio), log_mel, rtol=0, atol=1e-5)
        assert torch.equal(DMel().levels(streamed(audio[None])[0])[: levels.shape[0]].long(), levels), path


def streamed(audio_BS: Tensor) -> Tensor:
    front, pieces = DMel(), []
    audio_BS = torch.nn.functional.pad(audio_BS, (0, -audio_BS.shape[-1] % SAMPLES_PER_CELL))
    state = front.start(audio_BS.shape[0])
    for piece in audio_BS.split(SAMPLES_PER_CELL, dim=-1):
        log_mel, state = front.step(state, piece)
        pieces.append(log_mel)
    return torch.cat(pieces, dim=-2)


def test_streamed_in_pieces_of_200_ms_equals_whole() -> None:
    audio = torch.randn(3, 10 * SAMPLES_PER_CELL, generator=torch.Generator().manual_seed(2)) * 0.1
    whole = DMel().log_mel(audio)
    torch.testing.assert_close(streamed(audio), whole, rtol=0, atol=1e-6)
    assert torch.equal(DMel().levels(streamed(audio)), DMel().levels(whole))


def test_a_level_is_the_nearest_centre_for_every_value_even_beside_the_borders() -> None:
    centres = DMel().centres()
    borders = ((centres[:-1] + centres[1:]) / 2).numpy()
    near = [borders]
    for _ in range(40):
        near = [np.nextafter(near[0], np.float32(-9)), *near, np.nextafter(near[-1], np.float32(9))]
    values = torch.cat([torch.from_numpy(np.concatenate(near)), torch.linspace(-8, 3, 100_001)])
    nearest = (values.clamp(-7.0, 2.0)[:, None] - centres).abs().argmin(-1)
    assert torch.equal(DMel().levels(values).long(), nearest)


def test_later_sound_never_changes_earlier_frames() -> None:
    audio = torch.randn(16_000, generator=torch.Generator().manual_seed(3))
    changed = audio.clone()
    changed[8_000:] = 0.5
    assert torch.equal(DMel().log_mel(audio)[:10], DMel().log_mel(changed)[:10])
    assert not torch.equal(DMel().log_mel(audio)[10], DMel().log_mel(changed)[10])


def test_a_piece_that_is_no_whole_number_of_hops_is_refused() -> None:
    with pytest.raises(ValueError, match="1000 samples must be a multiple of the hop of 800"):
        DMel().step(DMel().start(1), torch.zeros(1, 1000))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="hop_samples=1601 must lie between 1 and n_fft=1600"):
        DMel(hop_samples=1601)
    with pytest.raises(ValueError, match="must be 2 or more over a rising range"):
        DMel(low_log10=3.0)
