"""What is to be said on the frame grid: phones with durations, told frame by frame, and nothing of later words."""

import pytest
import torch

from model.plan import NO_PHONE, RELEASE_FRAMES, Lexicon, Pronunciation, joined, no_frames, on_the_grid, release

NOW = Pronunciation(("n", "aw"), (2, 3))
OKAY = Pronunciation(("ow", "k", "ey"), (2, 1, 4))
LEXICON = Lexicon(("aw", "ey", "k", "n", "ow"), {"now": NOW, "okay": OKAY})


def test_every_frame_is_told_its_phone_its_neighbours_and_its_place():
    frames = LEXICON.frames(NOW)
    assert len(frames) == NOW.num_frames == 5
    n, aw = LEXICON.number("n"), LEXICON.number("aw")
    assert frames.identities_FI[0].tolist() == [NO_PHONE, NO_PHONE, n, aw, NO_PHONE]
    assert frames.identities_FI[4].tolist() == [NO_PHONE, n, aw, NO_PHONE, NO_PHONE]
    assert frames.places_FP.exp().round().long().tolist() == [
        [1, 2, 2, 1, 5, 5],
        [2, 1, 2, 2, 4, 5],
        [1, 3, 3, 3, 3, 5],
        [2, 2, 3, 4, 2, 5],
        [3, 1, 3, 5, 1, 5],
    ]


def test_a_word_sounds_alike_whatever_follows_it():
    alone = LEXICON.frames(OKAY)
    line = joined([LEXICON.frames(OKAY), LEXICON.frames(NOW), release()])
    assert torch.equal(line.identities_FI[: len(alone)], alone.identities_FI)
    assert torch.equal(line.places_FP[: len(alone)], alone.places_FP)
    assert len(line) == 12 + RELEASE_FRAMES
    assert line[-1:].identities_FI.tolist() == [[NO_PHONE] * 5]
    assert len(line[7:9]) == 2
    assert len(no_frames()) == 0


def test_phones_fall_on_the_frame_grid_without_drifting_and_none_is_lost():
    assert on_the_grid([0.104, 0.152, 0.213], 0.0125) == (8, 4, 5)
    assert on_the_grid([0.001, 0.002, 0.05], 0.0125) == (1, 1, 2)


def test_words_and_phones_that_are_unknown_are_named():
    with pytest.raises(ValueError, match=r"no pronunciation of 'stop'; train the voice with that word"):
        LEXICON["stop"]
    with pytest.raises(ValueError, match=r"word 'now' uses phones \['aw'\] that are not in the inventory"):
        Lexicon(("n",), {"now": NOW})
    with pytest.raises(ValueError, match=r"at least one frame for each"):
        Pronunciation(("n",), (0,))
