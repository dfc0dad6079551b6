"""The cell layout: no shifted labels, nothing dropped or doubled, silence present."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layout import END, NO_TARGET, NO_TOKEN, OTHER_WORD, SILENCE, YIELD, Counts, Kind, Vocabulary, plan

WORDS = Vocabulary(("one", "two"), ("stop",))


def counts(own: list[list[int]], typed: list[list[int]] | None = None) -> Counts:
    own_BT = np.array(own)
    zero = np.zeros_like(own_BT)
    return Counts(own_BT, zero, zero if typed is None else np.array(typed), zero)


def test_a_small_batch_is_laid_out_as_drawn():
    out = np.array([[[NO_TOKEN, NO_TOKEN], [4, 5], [NO_TOKEN, NO_TOKEN]]])
    laid = plan(counts([[0, 0, 1]]), out, audio_positions=1)
    kinds = [Kind(k).name for k in laid.kind_BP[0]]
    assert kinds == ["MARK", "USER_AUDIO", "MARK", "USER_AUDIO", "OUT", "OUT", "MARK", "USER_AUDIO", "OWN_VOICE"]
    assert laid.target_BP[0].tolist() == [NO_TARGET, SILENCE, NO_TARGET, 4, 5, END, NO_TARGET, NO_TARGET, SILENCE]
    assert laid.cell_BP[0].tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert laid.part_BP[0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert laid.listen_BT[0].tolist() == [1, 3, 7]


cells = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.lists(st.integers(YIELD, 9), max_size=3)), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(cells, min_size=1, max_size=3), audio_positions=st.sampled_from([0, 1, 4]))
def test_every_output_is_taught_once_where_the_cell_has_taken_in_its_inputs(rows, audio_positions):
    width = max(map(len, rows))
    lengths = np.array([len(row) for row in rows])
    own = np.zeros((len(rows), width), int)
    typed = np.zeros_like(own)
    out = np.full((len(rows), width, 3), NO_TOKEN)
    for b, row in enumerate(rows):
        for t, (has_own, num_typed, tokens) in enumerate(row):
            own[b, t], typed[b, t] = has_own, num_typed
            out[b, t, : len(tokens)] = tokens
    laid = plan(Counts(own, np.zeros_like(own), typed, np.zeros_like(own)), out, audio_positions, lengths)
    for b, row in enumerate(rows):
        taught = [int(x) for x in laid.target_BP[b] if x != NO_TARGET]
        wanted = [x for _, _, tokens in row for x in ([*tokens, END] if tokens else [SILENCE])]
        assert taught == wanted
        size = sum(1 + audio_positions + o + n + len(tokens) for o, n, tokens in row)
        assert laid.length_B[b] == size == (laid.kind_BP[b] != Kind.PAD).sum()
        first = [int(np.flatnonzero((laid.cell_BP[b] == t) & (laid.target_BP[b] != NO_TARGET))[0]) for t in range(len(row))]
        for t, at in enumerate(first):
            rest = laid.kind_BP[b, at + 1 : laid.length_B[b]][laid.cell_BP[b, at + 1 : laid.length_B[b]] == t]
            assert set(rest) <= {int(Kind.OUT)}, "an input follows the position that predicts the first output"
        fed = laid.kind_BP[b] == Kind.OUT
        said = [out[b, t, k] for t, k in zip(laid.cell_BP[b][fed], laid.part_BP[b][fed], strict=True)]
        assert said == [x for _, _, tokens in row for x in tokens]


def test_a_gap_in_the_outputs_is_refused():
    with pytest.raises(ValueError, match="gap"):
        plan(counts([[0]]), np.array([[[NO_TOKEN, 4]]]), 1)


def test_vocabulary_names_both_sides_and_refuses_doubles():
    assert WORDS.tokens[WORDS.token_id("two")] == "two"
    assert WORDS.token_id("<yield>") == YIELD
    assert WORDS.heard[WORDS.heard_id("stop")] == "stop"
    assert WORDS.heard_id("umbrella") == OTHER_WORD
    with pytest.raises(ValueError, match="no word 'three'"):
        WORDS.token_id("three")
    with pytest.raises(ValueError, match="twice"):
        Vocabulary(("one", "one"), ())


def test_an_output_that_was_not_wanted_is_followed_by_the_end_of_the_cell():
    out = np.array([[[NO_TOKEN, NO_TOKEN], [4, 5], [4, NO_TOKEN], [6, NO_TOKEN], [6, NO_TOKEN], [NO_TOKEN, NO_TOKEN]]])
    wanted = np.array([[[4, NO_TOKEN], [4, NO_TOKEN], [4, 5], [NO_TOKEN, NO_TOKEN], [4, 5], [NO_TOKEN, NO_TOKEN]]])
    laid = plan(counts([[0] * 6]), out, audio_positions=0, wanted_BTK=wanted)
    taught = [laid.target_BP[0][laid.cell_BP[0] == cell].tolist() for cell in range(6)]
    assert taught == [[4], [4, END, END], [4, 5], [SILENCE, END], [4, END], [SILENCE]]
    said = [laid.kind_BP[0][laid.cell_BP[0] == cell].tolist().count(Kind.OUT) for cell in range(6)]
    assert said == [0, 2, 1, 1, 1, 0]
