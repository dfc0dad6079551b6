"""Where work is done: in this process, in a pool of processes, or on a Dask cluster, behind the one interface of concurrent.futures.

with farm("dask", workers=2) as plot:
    plot.executor.submit(work, what)
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from workbench.errors import InputError
from workbench.pool import end_with_parent

R = TypeVar("R")
EXECUTORS = ("pool", "dask")
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of each worker; the workers share the cores


@dataclass(frozen=True)
class Farm:
    """An executor, how many pieces of work it does at once, and whether it does them in this process, each as it is submitted."""

    executor: Executor
    workers: int
    here: bool = False


class Here(Executor):
    """Does what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        done: Future[R] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@contextmanager
def farm(kind: str = "pool", workers: int = 1) -> Iterator[Farm]:
    """A farm of `workers`: "pool" (a pool of one is this process), "dask" (a cluster on this machine), or "dask:ADDRESS" (one that runs).

    Every worker process that is started here computes with one thread, so that sums come out the same on whichever it is, and ends with
    this process, however that ends. Raises InputError for another kind, fewer than one worker, and where Dask or its scheduler is missing.
    """
    name, _, address = kind.partition(":")
    if name not in EXECUTORS or (address and name != "dask"):
        raise InputError(f"no executor {kind!r}; there are {', '.join(EXECUTORS)} and dask:ADDRESS, e.g. dask:tcp://10.0.0.5:8786")
    if workers < 1:
        raise InputError(f"{workers} workers do nothing; give at least 1")
    if name == "dask":
        with _one_thread_each(), _dask(address, workers) as found:
            yield found
    elif workers == 1:
        yield Farm(Here(), 1, here=True)
    else:
        context = multiprocessing.get_context("spawn")
        with _one_thread_each(), ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
            yield Farm(pool, workers)


@contextmanager
def _dask(address: str, workers: int) -> Iterator[Farm]:
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise InputError("--executor dask needs the package distributed; install microturn[cluster]") from error
    if address:
        try:
            client = distributed.Client(address, timeout=10)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address!r} ({error}); give the address that `dask scheduler` printed"
            ) from error
        with client:
            yield Farm(client.get_executor(), max(1, len(client.scheduler_info(n_workers=-1)["workers"])))
        return
    settings = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        yield Farm(client.get_executor(), workers)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile compute with one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
