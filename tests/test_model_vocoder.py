"""The vocoder: streamed equals whole, 200 ms in gives 200 ms out, the pitch it is told is the pitch that sounds."""

import pytest
import torch

from model.causal import CausalStack, StackConfig
from model.train_voice import pitch_hz
from model.vocoder import Source, Vocoder, VocoderConfig, mel_frames

CELL_FRAMES = 16


def tiny_vocoder(seed: int = 0) -> Vocoder:
    torch.manual_seed(seed)
    return Vocoder(VocoderConfig(stack=StackConfig(width=16, hidden=24, num_blocks=2, kernel=3))).eval()


def hum(hz: float, seconds: float = 0.8) -> torch.Tensor:
    """A tone with ten partials."""
    at = torch.arange(int(16_000 * seconds)) / 16_000
    return sum(0.05 / k * torch.sin(2 * torch.pi * k * hz * at) for k in range(1, 11))


def test_a_cell_of_frames_gives_a_cell_of_sound_and_the_pieces_equal_the_whole():
    vocoder = tiny_vocoder()
    with torch.no_grad():
        for parameter in vocoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    mel = torch.randn(2, 3 * CELL_FRAMES + 5, 80)
    with torch.inference_mode():
        whole, _ = vocoder(mel, vocoder.start(2))
        state, pieces = vocoder.start(2), []
        for at in range(0, mel.shape[1], CELL_FRAMES):
            piece, state = vocoder(mel[:, at : at + CELL_FRAMES], state)
            pieces.append(piece)
    assert pieces[0].shape == (2, 3200)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-5)
    assert whole.abs().max() > 1e-3


def test_sound_of_a_frame_does_not_depend_on_later_frames():
    vocoder = tiny_vocoder()
    mel = torch.randn(1, 12, 80)
    other = torch.cat([mel[:, :7], torch.randn(1, 5, 80)], 1)
    with torch.inference_mode():
        (one, _), (two, _) = (vocoder(frames, vocoder.start()) for frames in (mel, other))
    hop = vocoder.config.hop_samples
    torch.testing.assert_close(one[:, : 7 * hop], two[:, : 7 * hop], rtol=0, atol=1e-6)
    assert not torch.allclose(one[:, 7 * hop :], two[:, 7 * hop :])


@pytest.mark.parametrize("hz", [110.0, 200.0, 320.0])
def test_the_pitch_told_is_the_pitch_that_sounds(hz):
    vocoder = tiny_vocoder()
    pitch = torch.full((1, 64), hz)
    bands = torch.stack([torch.zeros(1, 64, 80), torch.full((1, 64, 80), -9.0)], 2) - 3.0
    with torch.inference_mode():
        sound, _ = vocoder.synthesise(Source(pitch, bands), vocoder.start())
    found, voiced = pitch_hz(vocoder.config, sound[0])
    assert voiced[8:56].all()
    torch.testing.assert_close(found[8:56], torch.full((48,), hz), rtol=0.01, atol=0)


@pytest.mark.parametrize("hz", [95.0, 180.0, 300.0])
def test_pitch_is_found_in_a_hum_and_not_in_silence(hz):
    config = VocoderConfig()
    found, voiced = pitch_hz(config, torch.cat([hum(hz), torch.zeros(4000)]))
    assert voiced[4:58].all()
    assert not voiced[-12:].any()
    torch.testing.assert_close(found[4:58], torch.full((54,), hz), rtol=0.01, atol=0)


def test_untrained_it_already_has_the_envelope_of_the_sound():
    vocoder = Vocoder(VocoderConfig())
    sound = hum(180.0)
    mel = mel_frames(vocoder.config, sound)
    assert mel.shape == (64, 80)
    with torch.inference_mode():
        source, _ = vocoder.analyse(mel[None], vocoder.start().tails_BNJC)
        made, _ = vocoder.synthesise(Source(torch.full((1, 64), 180.0), source.bands_BFXM), vocoder.start())
    likeness = torch.corrcoef(torch.stack([mel[8:56].flatten(), mel_frames(vocoder.config, made[0])[8:56].flatten()]))[0, 1]
    assert likeness > 0.9


def test_silence_stays_silent():
    vocoder = Vocoder(VocoderConfig())
    quiet = torch.full((1, 32, 80), vocoder.config.silence)
    assert mel_frames(vocoder.config, torch.zeros(6400)).unique().tolist() == [pytest.approx(vocoder.config.silence)]
    with torch.inference_mode():
        sound, _ = vocoder(quiet, vocoder.start())
    assert sound.abs().max() < 0.02


def test_the_stack_looks_back_only_and_errors_name_the_fix():
    stack = CausalStack(StackConfig(width=8, hidden=8, num_blocks=2, kernel=3)).eval()
    x = torch.randn(1, 6, 8)
    y, tails = stack(x, stack.start(1))
    assert tails.shape == (1, 2, 2, 8)
    changed, _ = stack(torch.cat([x[:, :-1], torch.randn(1, 1, 8)], 1), stack.start(1))
    torch.testing.assert_close(changed[:, :-1], y[:, :-1])
    with pytest.raises(ValueError, match=r"kernel=1 must be at least 2 frames"):
        StackConfig(width=8, hidden=8, num_blocks=1, kernel=1)
    with pytest.raises(ValueError, match=r"width=0 must be at least 1"):
        StackConfig(width=0, hidden=8, num_blocks=1)
    with pytest.raises(ValueError, match=r"frames of 40 bands do not fit a vocoder of 80; use its own mel_frames"):
        tiny_vocoder()(torch.zeros(1, 4, 40), tiny_vocoder().start())
    with pytest.raises(ValueError, match=r"pitch_hz=\(400.0, 80.0\) must be a rising range"):
        VocoderConfig(pitch_hz=(400.0, 80.0))
    with pytest.raises(ValueError, match=r"n_fft=256 and mel_window=800 must be at least two hops"):
        VocoderConfig(n_fft=256)
