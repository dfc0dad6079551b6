"""What a check found: facts, and one message per broken rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Report:
    """The outcome of a check. `problems` is empty when every rule held; `facts` are the numbers met on the way."""

    subject: str
    problems: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.problems

    def or_raise(self, error: type[WorkbenchError]) -> Report:
        """This report when every rule held; otherwise raises `error` with all problems."""
        if self.problems:
            raise error(f"{self.subject}: " + "; ".join(self.problems))
        return self

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        head = f"{self.subject}: {'ok' if self.ok else f'{len(self.problems)} problem(s)'}" + (f" ({facts})" if facts else "")
        return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])
