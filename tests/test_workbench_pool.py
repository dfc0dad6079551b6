"""The pool of training conversations: filled in the background, read as it grows, the same each time."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from workbench.clock import pause
from workbench.conversations import available, converse
from workbench.errors import InputError
from workbench.events import TruthExpect, TruthPiece, TruthWord
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


def test_a_shard_is_mapped_whatever_its_arrays_are_and_never_written_to(tmp_path: Path) -> None:
    row = {
        "turned": np.arange(6, dtype=np.int16).reshape(2, 3).T,
        "none": np.zeros((0, 4), np.int32),
        "flags": np.array([True, False, True]),
        "one": np.array(7.5),
        "odd": np.arange(5, dtype=np.uint8),
        "after": np.arange(4, dtype=np.float64),
    }
    path = tmp_path / "a.npz"
    write_shard(path, [row, row])
    before = path.read_bytes()
    [back, again] = read_shard(path)
    for name, array in row.items():
        np.testing.assert_array_equal(back[name], array)
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].size == 0 or np.shares_memory(back[name], back[name].base), "a view of the file"
        back[name][...] = 1
        np.testing.assert_array_equal(again[name], array)
    assert path.read_bytes() == before


ENDED = """
import os, signal, sys
from pathlib import Path
from tests.test_workbench_pool import slowly
from workbench.clock import pause
from workbench.pool import Pool

if __name__ == "__main__":
    pool = Pool(Path(sys.argv[1]), slowly, most=10_000, workers=2).start()
    while len(list(Path(sys.argv[1]).glob("begun.*"))) < 2:
        pause(0.05)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def slowly(number: int) -> dict[str, np.ndarray]:
    folder = Path(os.environ["MICROTURN_TEST_POOL"])
    (folder / f"begun.{os.getpid()}").touch()
    pause(0.5)
    return numbered(number)


def test_workers_end_with_a_training_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "ended.py"
    script.write_text(ENDED)
    where = {"MICROTURN_TEST_POOL": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    training = subprocess.Popen([sys.executable, script, tmp_path], env={**os.environ, **where})
    assert training.wait(120) == -signal.SIGKILL
    workers = [int(path.suffix[1:]) for path in tmp_path.glob("begun.*")]
    for _ in range(100):
        left = [pid for pid in workers if running(pid)]
        if not left:
            break
        pause(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert (len(workers), left) == (2, [])


def test_what_a_worker_that_is_gone_has_half_written_is_cleared_away(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here, gone = tmp_path / f"000001.{os.getpid()}.partial", tmp_path / f"000002.{ended.pid}.partial"
    for path in (here, gone):
        path.touch()
    Pool(tmp_path, numbered, most=SHARD).start().stop()
    assert (here.exists(), gone.exists()) == (True, False)


def running(pid: int) -> bool:
    """Whether there is such a process, and not only its exit code, which nobody may have asked for."""
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_pool_fills_in_the_background_and_is_read_once(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool", partial(numbered, width=2), most=4 * SHARD, workers=2).start()
    for process in pool._processes:
        process.join(60)
    assert pool.refresh() == 4 * SHARD
    assert pool.refresh() == 4 * SHARD
    assert sorted(int(row["number"][0]) for row in pool.rows) == list(range(4 * SHARD))
    pool.stop()


def test_conversations_stand_in_the_order_of_their_numbers_whenever_they_appeared(tmp_path: Path) -> None:
    late, early = Pool(tmp_path, numbered, most=2 * SHARD), Pool(tmp_path, numbered, most=2 * SHARD)
    fill(tmp_path, numbered, [1])
    assert late.refresh() == SHARD
    fill(tmp_path, numbered, [0])
    assert late.refresh() == early.refresh() == 2 * SHARD
    assert [int(row["number"][0]) for row in late.rows] == [int(row["number"][0]) for row in early.rows] == list(range(2 * SHARD))


def test_what_appeared_is_read_a_few_shards_at_a_time_where_asked(tmp_path: Path) -> None:
    fill(tmp_path, numbered, [0, 1, 2])
    pool = Pool(tmp_path, numbered, most=SHARD)
    assert [pool.refresh(2), pool.refresh(2), pool.refresh(2)] == [2 * SHARD, 3 * SHARD, 3 * SHARD]
    assert [int(row["number"][0]) for row in pool.rows] == list(range(3 * SHARD))


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    fill(tmp_path, numbered, [1])
    fill(tmp_path, failing, [1])
    assert [int(row["number"][0]) for row in read_shard(tmp_path / "000001.npz")] == list(range(SHARD, 2 * SHARD))


def test_a_worker_that_dies_is_noticed(tmp_path: Path) -> None:
    pool = Pool(tmp_path, failing, most=SHARD).start()
    pool._processes[0].join(60)
    with pytest.raises(InputError, match="ended with code 1"):
        pool.refresh()


def test_a_useless_pool_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="need at least 16 and 1"):
        Pool(tmp_path, numbered, most=3)


def test_a_conversation_is_addressed_by_its_number() -> None:
    one, again, other = converse(5, seconds=6.0), converse(5, seconds=6.0), converse(6, seconds=6.0)
    assert np.array_equal(one.audio("user.audio"), again.audio("user.audio"))
    assert not np.array_equal(one.audio("user.audio"), other.audio("user.audio"))
    assert len(one) == 30
    assert any(one.events(TruthExpect))


def test_a_conversation_says_which_family_it_is_about_and_when() -> None:
    only_sums = converse(5, seconds=12.0, weights={"answer": 1.0})
    assert [piece.family for _, piece in only_sums.events(TruthPiece)] == ["answer"]
    both = converse(5, seconds=30.0, weights={"answer": 1.0, "timer": 1.0})
    pieces = [piece for _, piece in both.events(TruthPiece)]
    assert {piece.family for piece in pieces} == {"answer", "timer"}
    first_words = {round(word.start_s, 3) for _, word in both.events(TruthWord)}
    assert all(any(0 <= at - piece.at_s < 0.3 for at in first_words) for piece in pieces)


@pytest.mark.recordings
def test_recorded_conversations_carry_the_digits_of_the_named_people() -> None:
    if not available("recorded"):
        pytest.skip("no recordings of people; set MICROTURN_SPEECH to a folder of them")
    voices = {converse(n, "recorded", ("theo",), seconds=2.0).header.labels["voice"] for n in range(6)}
    assert all("recorded:" in voice for voice in voices)
    assert any("theo" in voice for voice in voices)
    assert not any(name in voice for voice in voices for name in ("jackson", "nicolas", "yweweler"))
