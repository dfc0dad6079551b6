"""The speech head in both kinds: pieces equal the whole, noise decides only what the scale lets it, steps are a setting."""

from dataclasses import replace

import pytest
import torch

from model.causal import StackConfig
from model.flow import FlowConfig, FlowHead, HeadConfig, RegressionConfig
from model.plan import Lexicon, Pronunciation, joined, release
from model.speech import SpeechConfig, SpeechHead
from model.train_voice import Line, VoiceTraining, fit, head_step
from model.vocoder import VocoderConfig

TINY = StackConfig(width=16, hidden=24, num_blocks=2, kernel=3)
LEXICON = Lexicon(
    ("aw", "ey", "k", "n", "ow"), {"now": Pronunciation(("n", "aw"), (4, 9)), "okay": Pronunciation(("ow", "k", "ey"), (6, 4, 10))}
)
HEADS: list[HeadConfig] = [RegressionConfig(stack=TINY), FlowConfig(stack=TINY, steps=1), FlowConfig(stack=TINY, steps=3)]
KINDS = pytest.mark.parametrize("config", HEADS, ids=["regression", "flow-1", "flow-3"])


def tiny_head(config: HeadConfig, cell_width: int = 0) -> SpeechHead:
    torch.manual_seed(0)
    return SpeechHead(SpeechConfig(num_phones=5, phone_width=4, stack=TINY, head=config, cell_width=cell_width)).eval()


def plan(*words: str):
    frames = joined([*(LEXICON.frames(LEXICON[word]) for word in words), release()])
    return frames.identities_FI[None], frames.places_FP[None]


@KINDS
def test_frames_in_pieces_equal_the_whole(config):
    head = tiny_head(config)
    identities, places = plan("now", "okay", "now")
    noise = torch.randn(1, identities.shape[1], 80)
    with torch.inference_mode():
        whole, _ = head(identities, places, noise, head.start())
        state, pieces = head.start(), []
        for at in range(0, identities.shape[1], 16):
            cell = slice(at, at + 16)
            piece, state = head(identities[:, cell], places[:, cell], noise[:, cell], state)
            pieces.append(piece)
    assert pieces[0].shape == (1, 16, 80)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-5)


@KINDS
def test_a_word_does_not_wait_for_the_word_after_it(config):
    head = tiny_head(config)
    noise = torch.randn(1, 60, 80)
    with torch.inference_mode():
        one, two = (
            head(*planned, noise[:, : planned[0].shape[1]], head.start())[0] for planned in (plan("okay", "now"), plan("okay", "okay"))
        )
    torch.testing.assert_close(one[:, :20], two[:, :20])
    assert not torch.allclose(one[:, 20:30], two[:, 20:30])


def test_without_noise_the_flow_says_the_same_whatever_the_seed_and_with_noise_it_does_not():
    identities, places = plan("now")
    noises = [torch.randn(1, identities.shape[1], 80, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    for scale, alike in ((0.0, True), (1.0, False)):
        head = tiny_head(FlowConfig(stack=TINY, steps=2, noise_scale=scale))
        with torch.inference_mode():
            first, again, other = (head(identities, places, noise, head.start())[0] for noise in noises)
        assert torch.equal(first, again)
        assert torch.equal(first, other) == alike


def test_the_last_euler_step_lands_on_the_guess_and_every_step_moves_along_a_straight_path():
    head = tiny_head(FlowConfig(stack=TINY, steps=2)).head
    condition, noise = torch.randn(1, 7, 16), torch.randn(1, 7, 80)
    with torch.inference_mode():
        made, _ = head(condition, noise, head.start(1))
        lifted, tails = head.lift(condition), head.start(1)[:, 0]
        first, _ = head.guess(noise, torch.zeros(1), lifted, tails)
        middle = 0.5 * noise + 0.5 * first
        last, _ = head.guess(middle, torch.full((1,), 0.5), lifted, tails)
    torch.testing.assert_close(made, last)


@KINDS
def test_a_head_learns_what_it_is_taught(config, tmp_path):
    head = tiny_head(config)
    torch.manual_seed(1)
    lines = [Line((LEXICON[word],), 0.1 * torch.randn((LEXICON[word].num_frames + 3) * 200)) for word in ("now", "okay")]
    training = VoiceTraining(minutes=1.0, rows=2, learning_rate=1e-2, log_every=1)
    ticks = iter(range(10_000))
    rows = []
    steps = fit(
        head,
        head_step(head, LEXICON, lines, VocoderConfig(), training),
        training,
        tmp_path / "head.pt",
        kind={},
        now=lambda: float(next(ticks)),
        report=rows.append,
    )
    assert steps == 60
    first, last = rows[0]["loss"]["mel"], sum(row["loss"]["mel"] for row in rows[-8:]) / 8
    assert last < 0.75 * first
    again = tiny_head(config)
    went_on = fit(
        again,
        head_step(again, LEXICON, lines, VocoderConfig(), training),
        replace(training, minutes=1.1),
        tmp_path / "head.pt",
        kind={},
        now=lambda: float(next(ticks)),
        resume=True,
    )
    assert went_on == 66
    with pytest.raises(ValueError, match=r"2 lines are fewer than the 9 rows of a step; teach more words"):
        head_step(head, LEXICON, lines, VocoderConfig(), replace(training, rows=9))()


def test_the_state_of_the_cell_changes_the_sound_where_the_head_listens_to_it():
    head = tiny_head(RegressionConfig(stack=TINY), cell_width=6)
    identities, places = plan("now")
    noise = torch.zeros(1, identities.shape[1], 80)
    calm, eager = torch.zeros(1, 6), torch.ones(1, 6)
    with torch.inference_mode():
        assert torch.equal(*(head(identities, places, noise, head.start(), cell)[0] for cell in (calm, eager)))
        torch.nn.init.normal_(head.cell.weight)
        assert not torch.allclose(*(head(identities, places, noise, head.start(), cell)[0] for cell in (calm, eager)))
        with pytest.raises(ValueError, match=r"cell_width=6 and none was given; give the cell's state"):
            head(identities, places, noise, head.start())
        deaf = tiny_head(RegressionConfig(stack=TINY))
        with pytest.raises(ValueError, match=r"cell_width=0 and one was given"):
            deaf(identities, places, noise, deaf.start(), calm)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"steps=0 must be at least 1"):
        FlowConfig(steps=0)
    with pytest.raises(ValueError, match=r"noise_scale=nan must be 0 or more, and finite"):
        FlowConfig(noise_scale=float("nan"))
    with pytest.raises(ValueError, match=r"noise_scale=-1 must be 0 or more, and finite; 0 takes the likeliest"):
        FlowConfig(noise_scale=-1)
    with pytest.raises(ValueError, match=r"num_phones=0 must be at least 1; count the phones"):
        SpeechConfig(num_phones=0)
    head = FlowHead(FlowConfig(stack=TINY, steps=2), 16, 80)
    with pytest.raises(ValueError, match=r"a state of 2 Euler steps cannot go on in 4; start anew"):
        FlowHead(FlowConfig(stack=TINY, steps=4), 16, 80)(torch.zeros(1, 1, 16), torch.zeros(1, 1, 80), head.start(1))
