"""The process in which a tool runs: reads one order from its input, writes one answer to its output.

Order: {"module", "name", "file", "path", "arguments", "most_chars", "memory_mb", "most_s"}; with a file the module is what that file makes.
Answer: {"ok": true, "text": the result as JSON, "shown": a thing or null} or {"ok": false, "cause"}; before it comes one byte, as soon as
the function is imported.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any, TextIO


def main() -> None:
    """Carry out one order."""
    order = json.loads(sys.stdin.buffer.read())
    signal.setitimer(signal.ITIMER_REAL, order["most_s"])  # ends this process if whoever gave the order is gone by then
    answer_to = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    with suppress(ValueError, OSError):
        most = order["memory_mb"] * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with os.fdopen(answer_to, "w", encoding="utf-8") as out:
        out.write(json.dumps(answer(order, out)))


def answer(order: dict[str, Any], out: TextIO) -> dict[str, Any]:
    """What the function of an order returns, or why it does not."""
    sys.path[:] = order["path"]
    try:
        found: Any = importlib.import_module(order["module"]) if order["file"] is None else _run(order["module"], order["file"])
        for name in order["name"].split("."):
            found = getattr(found, name)
        from workbench.background.schema import typed  # where the workbench lies is known only now
        from workbench.background.shown import chars_of, parted

        function = getattr(found, "function", found)
        out.write(" ")
        out.flush()
        value, shown = parted(function(**typed(function, order["arguments"])))
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a tool raises is the outcome of its call)
        return {"ok": False, "cause": f"raised {type(error).__name__}: {str(error)[:200]}"}
    chars = len(text) + chars_of(shown)
    if chars > order["most_chars"]:
        return {"ok": False, "cause": f"returned {chars} characters; {order['most_chars']} are taken"}
    return {"ok": True, "text": text, "shown": shown}


def _run(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # noqa: PT018 (it was loaded so before)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
