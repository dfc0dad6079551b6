import numpy as np
import pytest

from workbench.acoustics import LOOP_SAMPLES, NOISE_KINDS, Acoustics, convolve, sample_acoustics
from workbench.errors import InputError
from workbench.utterance import RATE, SPEECH_RMS

TICK = 3200


def rms_db(samples):
    return 20 * np.log10(np.sqrt(np.mean(samples**2)) + 1e-12)


def speech_like(seconds=1.0):
    noise = np.random.default_rng(0).standard_normal(round(seconds * RATE))
    shaped = np.fft.irfft(np.fft.rfft(noise) / np.maximum(np.fft.rfftfreq(len(noise), 1 / RATE), 200), len(noise))
    return (SPEECH_RMS * shaped / np.sqrt(np.mean(shaped**2))).astype(np.float32)


def band_db(samples, low, high):
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return 10 * np.log10(power[(hz >= low) & (hz < high)].sum() / power.sum() + 1e-12)


def test_the_plain_microphone_changes_nothing_but_the_level():
    voice = speech_like()
    np.testing.assert_allclose(Acoustics(level_db=-29.0).apply_to_voice(voice), voice * 10 ** (-29 / 20) / SPEECH_RMS, rtol=1e-4)
    assert not Acoustics().noise(3, TICK).any()


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_noise_has_the_asked_signal_to_noise_ratio(kind):
    noise = Acoustics(level_db=-20.0, noises=((kind, 12.0),), seed=5).noise_span(0, LOOP_SAMPLES)
    assert rms_db(noise) == pytest.approx(-32.0, abs=0.5)


def test_noise_is_addressed_by_its_place():
    place = Acoustics(noises=(("pink", 10.0), ("babble", 20.0)), band_hz=(300.0, 3400.0), seed=9)
    ticks = np.concatenate([place.noise(tick, TICK) for tick in range(40)])  # 8 s: past the end of the loop
    np.testing.assert_array_equal(ticks, place.noise_span(0, 40 * TICK))
    np.testing.assert_array_equal(place.noise(7, TICK), place.noise(7, TICK))
    other = Acoustics(noises=(("pink", 10.0), ("babble", 20.0)), band_hz=(300.0, 3400.0), seed=10)
    assert np.abs(other.noise(7, TICK) - place.noise(7, TICK)).max() > 1e-3


def test_the_noise_loop_has_no_seam():
    noise = Acoustics(noises=(("brown", 5.0),), seed=2).noise_span(LOOP_SAMPLES - 200, 400)
    steps = np.abs(np.diff(noise))
    assert steps[199] < 4 * steps.mean()


def test_a_telephone_keeps_its_band_and_the_level():
    voice = speech_like()
    heard = Acoustics(band_hz=(300.0, 3400.0)).apply_to_voice(voice)
    assert band_db(heard, 0, 150) < band_db(voice, 0, 150) - 15
    assert band_db(heard, 5000, 8000) < band_db(voice, 5000, 8000) - 20
    assert rms_db(heard) == pytest.approx(-23.0, abs=0.4)


def test_tilt_favours_high_or_low_frequencies():
    voice = speech_like()
    bright, dark = (Acoustics(tilt_db=tilt).apply_to_voice(voice) for tilt in (3.0, -3.0))
    assert band_db(bright, 3000, 8000) > band_db(voice, 3000, 8000) + 4
    assert band_db(dark, 3000, 8000) < band_db(voice, 3000, 8000) - 4


def test_a_room_adds_a_tail_that_decays_and_does_not_delay_the_voice():
    click = np.zeros(1600, np.float32)
    click[100] = 0.5
    heard = Acoustics(rt60_s=0.6, direct_db=3.0, seed=4).apply_to_voice(click)
    assert int(np.abs(heard).argmax()) == 100
    assert not np.abs(heard[:100]).max() > 1e-5
    assert len(heard) > 1600 + 0.3 * RATE
    after = heard[101:]
    early, late = (np.sum(after[round(at * RATE) : round((at + 0.1) * RATE)] ** 2) for at in (0.03, 0.23))
    assert 10 * np.log10(early / late) == pytest.approx(20, abs=4)  # 60 dB in 0.6 s is 20 dB in 0.2 s


def test_drive_saturates_and_nothing_leaves_full_scale():
    voice = speech_like()
    driven = Acoustics(drive=4.0).apply_to_voice(voice)
    assert np.abs(driven).max() / np.sqrt(np.mean(driven**2)) < 0.8 * np.abs(voice).max() / np.sqrt(np.mean(voice**2))
    assert np.abs(Acoustics(level_db=0.0).apply_to_voice(voice)).max() <= 0.99


def test_drawn_microphones_follow_the_difficulty():
    easy, hard = ([sample_acoustics(np.random.default_rng(seed), difficulty) for seed in range(300)] for difficulty in (0.0, 1.0))
    assert all(snr >= 39.9 for place in easy for _, snr in place.noises)
    assert min(snr for place in hard for _, snr in place.noises) < 8
    assert sum(place.rt60_s > 0 for place in hard) > 2 * sum(place.rt60_s > 0 for place in easy)
    assert {kind for place in hard for kind, _ in place.noises} == set(NOISE_KINDS)
    assert any(place.drive for place in hard)
    assert not any(place.drive for place in easy)
    assert sample_acoustics(np.random.default_rng(3), 0.5) == sample_acoustics(np.random.default_rng(3), 0.5)


def test_convolve_equals_the_slow_form():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(700).astype(np.float32), rng.standard_normal(90).astype(np.float32)
    np.testing.assert_allclose(convolve(a, b), np.convolve(a, b), atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level_db": 3.0}, "level_db=3.0 is outside .* give a level of -120 to 0 dBFS"),
        ({"level_db": -np.inf}, "level_db=-inf is outside"),
        ({"rt60_s": 9.0}, "echo of 0 to 2 s"),
        ({"direct_db": np.nan}, "direct_db=nan is outside .* -60 to 120 dB above the echo"),
        ({"tilt_db": np.inf}, "tilt_db=inf is outside .* -24 to 24 dB per octave"),
        ({"drive": np.nan}, "drive=nan is outside .* a drive of 0 to 100"),
        ({"noises": (("babble", np.nan),)}, "babble at a signal-to-noise ratio of nan dB cannot be mixed; give -60 to 120 dB"),
        ({"noises": (("pink", 10.0), ("hum", 121.0))}, "hum at a signal-to-noise ratio of 121 dB"),
        ({"noises": (("traffic", 10.0),)}, "no noise kind 'traffic'"),
        ({"band_hz": (4000.0, 300.0)}, "band_hz="),
    ],
)
def test_impossible_acoustics_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Acoustics(**settings)


def test_a_difficulty_outside_its_range_is_refused():
    with pytest.raises(InputError, match="difficulty=2"):
        sample_acoustics(np.random.default_rng(0), 2)
