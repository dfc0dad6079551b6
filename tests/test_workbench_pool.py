"""The pool of training conversations: filled in the background, read as it grows, the same each time."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from workbench.conversations import available, converse
from workbench.errors import InputError
from workbench.events import TruthExpect
from workbench.pool import SHARD, Pool, fill, read_shard, write_shard


def numbered(number: int, width: int = 3) -> dict[str, np.ndarray]:
    return {"number": np.array([number]), "row": np.full((2, width), number, np.float16)}


def failing(number: int) -> dict[str, np.ndarray]:
    raise RuntimeError(f"cannot make {number}")


def test_shards_come_back_in_order_and_whole(tmp_path: Path) -> None:
    rows = [numbered(n) for n in range(12)]
    write_shard(tmp_path / "a.npz", rows)
    back = read_shard(tmp_path / "a.npz")
    assert [int(row["number"][0]) for row in back] == list(range(12))
    assert back[7]["row"].dtype == np.float16
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_pool_fills_in_the_background_and_is_read_once(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool", partial(numbered, width=2), most=4 * SHARD, workers=2).start()
    for process in pool._processes:
        process.join(60)
    assert pool.refresh() == 4 * SHARD
    assert pool.refresh() == 4 * SHARD
    assert sorted(int(row["number"][0]) for row in pool.rows) == list(range(4 * SHARD))
    drawn = [int(row["number"][0]) for row in pool.draw(5, np.random.default_rng(0))]
    assert drawn == [int(row["number"][0]) for row in pool.draw(5, np.random.default_rng(0))]
    pool.stop()


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    fill(tmp_path, numbered, [1])
    fill(tmp_path, failing, [1])
    assert [int(row["number"][0]) for row in read_shard(tmp_path / "000001.npz")] == list(range(SHARD, 2 * SHARD))


def test_a_worker_that_dies_is_noticed(tmp_path: Path) -> None:
    pool = Pool(tmp_path, failing, most=SHARD).start()
    pool._processes[0].join(60)
    with pytest.raises(InputError, match="ended with code 1"):
        pool.refresh()


def test_an_empty_pool_and_a_useless_one_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty; call refresh"):
        Pool(tmp_path, numbered, most=SHARD).draw(1, np.random.default_rng(0))
    with pytest.raises(InputError, match="need at least 16 and 1"):
        Pool(tmp_path, numbered, most=3)


def test_a_conversation_is_addressed_by_its_number() -> None:
    one, again, other = converse(5, seconds=6.0), converse(5, seconds=6.0), converse(6, seconds=6.0)
    assert np.array_equal(one.audio("user.audio"), again.audio("user.audio"))
    assert not np.array_equal(one.audio("user.audio"), other.audio("user.audio"))
    assert len(one) == 30
    assert any(one.events(TruthExpect))


@pytest.mark.recordings
def test_recorded_conversations_carry_the_digits_of_the_named_people() -> None:
    if not available("recorded"):
        pytest.skip("no recordings of people; set MICROTURN_SPEECH to a folder of them")
    voices = {converse(n, "recorded", ("theo",), seconds=2.0).header.labels["voice"] for n in range(6)}
    assert all("recorded:" in voice for voice in voices)
    assert any("theo" in voice for voice in voices)
    assert not any(name in voice for voice in voices for name in ("jackson", "nicolas", "yweweler"))
