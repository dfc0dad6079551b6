import numpy as np
import pytest
import soundfile

from workbench.audio_io import read_audio, write_wav
from workbench.errors import InputError


def tone(rate, hz=440.0, seconds=0.5):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "suffix"),
    [
        (8000, 1, "PCM_U8", "wav"),
        (16000, 2, "PCM_16", "wav"),
        (44100, 2, "PCM_24", "flac"),
        (48000, 6, "FLOAT", "wav"),
        (22050, 1, "DOUBLE", "wav"),
    ],
)
def test_any_rate_width_and_channel_count_becomes_16_khz_mono(tmp_path, rate, channels, subtype, suffix):
    path = tmp_path / f"sound.{suffix}"
    soundfile.write(path, np.repeat(tone(rate)[:, None], channels, axis=1), rate, subtype=subtype)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert abs(len(samples) - 8000) <= 1
    middle = slice(1000, 7000)
    np.testing.assert_allclose(samples[middle], tone(16000)[: len(samples)][middle], atol=0.02)


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(16000), -tone(16000)], axis=1), 16000, subtype="FLOAT")
    assert np.abs(read_audio(path)).max() < 1e-6


def test_written_sound_reads_back_and_loud_samples_are_clipped(tmp_path):
    path = tmp_path / "out.wav"
    write_wav(path, np.concatenate([tone(16000), np.array([3.0, -3.0], np.float32)]))
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    samples = read_audio(path)
    np.testing.assert_allclose(samples[:-2], tone(16000), atol=1e-4)
    np.testing.assert_allclose(samples[-2:], [1, -1], atol=1e-4)


def test_missing_unreadable_and_empty_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no sound file .*nowhere\.wav"):
        read_audio(tmp_path / "nowhere.wav")
    (tmp_path / "text.wav").write_text("this is not sound")
    with pytest.raises(InputError, match="cannot be read as sound"):
        read_audio(tmp_path / "text.wav")
    (tmp_path / "bare.raw").write_bytes(bytes(3200))
    with pytest.raises(InputError, match=r"bare\.raw' cannot be read as sound \(a \.raw file does not tell its rate\); convert it to WAV"):
        read_audio(tmp_path / "bare.raw")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 16000)
    with pytest.raises(InputError, match="holds no sound"):
        read_audio(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan], np.float32), 16000, subtype="FLOAT")
    with pytest.raises(InputError, match="not finite"):
        read_audio(tmp_path / "nan.wav")


def test_sound_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="give one channel"):
        write_wav(tmp_path / "a.wav", np.zeros((10, 2), np.float32))
    with pytest.raises(InputError, match="not finite"):
        write_wav(tmp_path / "a.wav", np.array([np.inf], np.float32))
    with pytest.raises(InputError, match="does not exist"):
        write_wav(tmp_path / "missing" / "a.wav", np.zeros(10, np.float32))
