"""Looking inside: what is caught streaming is what is caught whole, changes act where they are told to, and nothing is left behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.hooks import Capture, Intervention, Place, add, hook_points, patch, replace, watching, zero
from model.layout import Kind
from tests.test_model_interaction import CELLS, Conversation, stream, tiny, whole

ALL = ["*"]


def streamed(model, talk, *watchers, rows=1):
    with torch.inference_mode(), watching(model, *watchers):
        return stream(model, [talk] * rows)


def whole_pass(model, talk, heard, *watchers):
    with torch.inference_mode(), watching(model, *watchers):
        return whole(model, talk, heard)


def test_every_hook_point_shows_the_shape_it_is_listed_with():
    model = tiny()
    capture = Capture(ALL)
    streamed(model, Conversation(0), capture)
    points = hook_points(model.config)
    assert list(points)[:5] == ["embed", "layer.0.attention", "layer.0.ffn", "layer.0.residual", "layer.1.attention"]
    assert list(points)[-4:] == ["final", "head.text", "head.heard", "head.active"]
    assert {name: tuple(capture[name].shape) for name in points} == {name: (CELLS, *shape) for name, shape in points.items()}


@pytest.mark.parametrize("fold", [1, 4])
def test_what_is_caught_streaming_is_what_is_caught_whole(fold):
    model, talk = tiny(fold), Conversation(0)
    one, other = Capture(ALL), Capture(ALL)
    _, heard, _ = streamed(model, talk, one)
    whole_pass(model, talk, heard, other)
    assert one.ticks() == other.ticks() == list(range(CELLS))
    for name in hook_points(model.config):
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=2e-5, msg=name)
        for tick in range(CELLS):
            (places, x), (same_places, same_x) = one.cell(name, tick), other.cell(name, tick)
            assert places == same_places
            torch.testing.assert_close(x, same_x, rtol=0, atol=2e-5, msg=name)
    kinds = {place.kind for tick in range(CELLS) for place in one.cell("embed", tick)[0]}
    assert kinds == {Kind.MARK, Kind.OWN_VOICE, Kind.OUT} | ({Kind.USER_AUDIO} if fold == 1 else set())
    assert max(place.part for tick in range(CELLS) for place in one.cell("embed", tick)[0] if place.kind == Kind.OUT) == 1


@pytest.mark.parametrize("name", ["embed", "layer.1.attention", "layer.1.ffn", "layer.0.residual", "final", "head.text", "head.heard"])
def test_a_change_gives_the_same_numbers_streaming_and_whole(name):
    model, talk = tiny(), Conversation(0)
    twice = Intervention(lambda name, place, x: 2 * x + 0.5, [name], ticks=range(10, 20))
    plain, heard, _ = streamed(model, talk)
    text, heard_then, _ = streamed(model, talk, twice)
    outputs = whole_pass(model, talk, heard_then, twice)
    torch.testing.assert_close(outputs.text_NV, text[0], rtol=0, atol=5e-5)
    torch.testing.assert_close(outputs.heard_BTHV[0], heard_then[0], rtol=0, atol=5e-5)
    assert not torch.equal(heard_then if name == "head.heard" else text[0], heard if name == "head.heard" else plain[0])


def test_the_stream_is_the_sum_of_what_the_layers_add():
    model, capture = tiny(), Capture(ALL)
    streamed(model, Conversation(1), capture)
    total = capture["embed"]
    for layer in range(model.config.trunk.num_layers):
        total = total + capture[f"layer.{layer}.attention"] + capture[f"layer.{layer}.ffn"]
        torch.testing.assert_close(total, capture[f"layer.{layer}.residual"], rtol=0, atol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(model.trunk.norm(total), capture["final"], rtol=0, atol=1e-5)
        torch.testing.assert_close(model.text_head(capture["final"]), capture["head.text"], rtol=0, atol=1e-5)


def test_a_change_acts_at_its_ticks_and_kinds_and_nowhere_before():
    model, talk = tiny(), Conversation(0)
    before, after = Capture(ALL), Capture(ALL)
    _, heard, _ = streamed(model, talk, before)
    tick = next(t for t in range(8, CELLS) if bool(talk.own_present[t]))
    silence = Intervention(zero, ["layer.0.residual"], ticks=[tick], kinds=[Kind.OWN_VOICE])
    whole_pass(model, talk, heard, silence, after)
    for name in hook_points(model.config):
        torch.testing.assert_close(after[name][:tick], before[name][:tick], rtol=0, atol=2e-5)
    places, x = after.cell("layer.0.residual", tick)
    assert [place.kind for place in places][:2] == [Kind.MARK, Kind.OWN_VOICE]
    assert not x[1].any()
    torch.testing.assert_close(x[0], before.cell("layer.0.residual", tick)[1][0], rtol=0, atol=2e-5)
    assert (after["final"][tick] - before["final"][tick]).abs().max() > 1e-3


def test_vectors_are_added_and_put_in_place():
    model, talk, capture = tiny(), Conversation(0), Capture(["layer.1.residual"])
    direction = torch.arange(32.0)
    _, heard, _ = streamed(model, talk, capture)
    plain = capture["layer.1.residual"]
    whole_pass(model, talk, heard, Intervention(add(direction), ["layer.1.residual"], ticks=[5]), capture)
    torch.testing.assert_close(capture["layer.1.residual"][5], plain[5] + direction, rtol=0, atol=2e-5)
    whole_pass(model, talk, heard, Intervention(replace(direction), ["layer.1.residual"], ticks=[5]), capture)
    torch.testing.assert_close(capture["layer.1.residual"][5], direction)


def test_patching_the_last_layer_of_a_cell_gives_the_decision_of_the_other_run():
    model, talk, other = tiny(), Conversation(0), Conversation(0)
    other.user[25:] = 0  # the same past, then silence
    mine, theirs, patched = Capture(["head.text"]), Capture(["layer.2.residual", "head.text"]), Capture(["head.text"])
    _, heard, _ = streamed(model, talk, mine)
    streamed(model, other, theirs)
    whole_pass(model, talk, heard, Intervention(patch(theirs), ["layer.2.residual"], ticks=[30]), patched)
    torch.testing.assert_close(patched["head.text"][30], theirs["head.text"][30], rtol=0, atol=5e-5)
    torch.testing.assert_close(patched["head.text"][31:], mine["head.text"][31:], rtol=0, atol=5e-5)  # the last layer reaches no later cell
    assert (theirs["head.text"][30] - mine["head.text"][30]).abs().max() > 1e-3


def test_a_patch_from_a_run_without_that_place_is_refused():
    model, talk, quiet = tiny(), Conversation(0), Conversation(0)
    quiet.own_present[:] = False
    theirs = Capture(["final"])
    streamed(model, quiet, theirs)
    tick = int(torch.nonzero(talk.own_present)[0])
    with pytest.raises(ValueError, match=rf"the other run has no tick {tick}, own_voice 0: its cell had mark 0.*narrow .* with kinds="):
        streamed(model, talk, Intervention(patch(theirs), ["final"]))
    with pytest.raises(ValueError, match=r"tick 99 is not held at final; ticks 0 to 39 are"):
        theirs.cell("final", 99)


def test_nothing_is_left_behind_even_by_an_error():
    model, talk = tiny(), Conversation(3)
    names = list(model.state_dict())
    before, _, _ = streamed(model, talk)

    def break_off(name: str, place: Place, x: torch.Tensor) -> torch.Tensor:
        raise ArithmeticError(name)

    with pytest.raises(ArithmeticError, match="final"):
        streamed(model, talk, Capture(ALL), Intervention(break_off, ["final"]))
    assert model.watching == {}
    assert list(model.state_dict()) == names
    after, _, _ = streamed(model, talk)
    assert torch.equal(after[0], before[0])


def test_watching_does_not_change_the_numbers():
    model, talk = tiny(), Conversation(3)
    plain, heard, _ = streamed(model, talk)
    watched, _, _ = streamed(model, talk, Capture(ALL))
    assert torch.equal(plain[0], watched[0])
    torch.testing.assert_close(
        whole_pass(model, talk, heard, Capture(ALL)).text_NV, whole_pass(model, talk, heard).text_NV, rtol=0, atol=1e-6
    )


def test_unknown_names_are_refused_and_told_what_exists():
    with pytest.raises(
        ValueError, match=r"no hook point 'layer.3.mlp'; there are embed, layer.N.attention, .*\(N from 0 to 2\), final, head.text"
    ):
        streamed(tiny(), Conversation(0), Capture(["embed", "layer.3.mlp"]))
    capture = Capture("layer.*.ffn")
    streamed(tiny(), Conversation(0), capture)
    with pytest.raises(
        ValueError, match=r"nothing was captured at 'embed' in row 0; this capture holds layer.0.ffn, layer.1.ffn, layer.2.ffn"
    ):
        capture["embed"]


def test_a_capture_keeps_the_last_ticks_only():
    model, talk = tiny(), Conversation(0)
    everything, last = Capture(ALL), Capture(ALL, ticks=7)
    _, heard, _ = streamed(model, talk, everything, last)
    cut = Capture(ALL, ticks=7)
    whole_pass(model, talk, heard, cut)
    for capture in (last, cut):
        assert capture.ticks() == list(range(CELLS - 7, CELLS))
        for name in hook_points(model.config):
            torch.testing.assert_close(capture[name], everything[name][-7:], rtol=0, atol=2e-5)
    assert held_bytes(cut) < 0.5 * held_bytes(everything)


def held_bytes(capture: Capture) -> int:
    tensors = [x for chunks in capture._held.values() for chunk in chunks for x in chunk.shown.values()]
    return sum(x.untyped_storage().nbytes() for x in tensors)


def test_a_tick_taken_in_again_replaces_what_followed_it():
    model, talk, other = tiny(), Conversation(0), Conversation(5)
    capture, alone = Capture(ALL), Capture(ALL)
    with torch.inference_mode(), watching(model, capture):
        state = stream(model, [talk], last=20)[2]
        fork = state.clone()
        stream(model, [talk], state, first=20, last=30)
        stream(model, [other], fork, first=20, last=25)
    assert capture.ticks() == list(range(25))
    with torch.inference_mode(), watching(model, alone):
        stream(model, [other], stream(model, [talk], last=20)[2], first=20, last=25)
    torch.testing.assert_close(capture["final"], alone["final"], rtol=0, atol=1e-6)


def test_two_sessions_in_one_capture_are_refused():
    model, capture = tiny(), Capture(["final"])
    with pytest.raises(ValueError, match=r"2 sessions run in this pass and the capture follows 1; make it Capture\(..., rows=N\)"):
        streamed(model, Conversation(0), capture, rows=2)
    with torch.inference_mode(), watching(model, capture):
        state = stream(model, [Conversation(0)], last=20)[2]
        stream(model, [Conversation(1)], last=5)
        with pytest.raises(ValueError, match=r"tick 20 comes after tick 4: two sessions share a capture"):
            stream(model, [Conversation(0)], state, first=20)
        capture.clear()
        assert capture.ticks() == []


def test_every_row_of_a_batch_is_captured_as_if_it_were_alone():
    model, talks = tiny(), [Conversation(seed) for seed in range(3)]
    together = Capture(ALL, rows=3)
    with torch.inference_mode(), watching(model, together):
        stream(model, talks)
    for row, talk in enumerate(talks):
        alone = Capture(ALL)
        streamed(model, talk, alone)
        for name in hook_points(model.config):
            torch.testing.assert_close(together.series(name, row), alone[name], rtol=0, atol=2e-5, msg=name)
        assert together.cell("embed", 12, row)[0] == [Place(row, p.tick, p.kind, p.part) for p in alone.cell("embed", 12)[0]]


def test_a_change_of_another_shape_is_refused():
    wrong = Intervention(lambda name, place, x: x[:3], ["final"])
    with pytest.raises(
        ValueError, match=r"the change at final \(tick 0, mark 0\) gave \(3,\) for \(32,\); give back a tensor of the same shape"
    ):
        streamed(tiny(), Conversation(0), wrong)


def test_changes_come_before_the_captures_that_are_named_after_them():
    model, talk = tiny(), Conversation(0)
    first, last = Capture(["final"]), Capture(["final"])
    streamed(model, talk, first, Intervention(zero, ["final"]), last)
    assert first["final"].abs().sum() > 0
    assert not last["final"].any()


def test_gradients_flow_through_a_change():
    model, talk = tiny(), Conversation(0)
    _, heard, _ = streamed(model, talk)
    direction = torch.zeros(32, requires_grad=True)
    with watching(model, Intervention(add(direction), ["layer.0.residual"], ticks=[12])):
        outputs = whole(model, talk, heard.clone())
    outputs.text_NV.square().sum().backward()
    assert direction.grad is not None
    assert np.isfinite(direction.grad.abs().sum().item())
    assert direction.grad.abs().sum() > 0


@torch.inference_mode()
def test_a_long_chunk_that_is_cut_into_pieces_is_captured_as_a_whole():
    model, talk = tiny(fold=1), Conversation(0)
    _, heard, _ = streamed(model, talk)
    once, pieces = Capture(ALL), Capture(ALL)
    with watching(model, once):
        whole(model, talk, heard)
    with watching(model, pieces):
        whole(model, talk, heard, state=model.trunk.start(1))
    for name in hook_points(model.config):
        torch.testing.assert_close(pieces[name], once[name], rtol=0, atol=2e-5, msg=name)
        assert pieces.cell(name, 20)[0] == once.cell(name, 20)[0]
