"""Beats in the making: phrases and pauses one after another, with an anchor on whatever was said last."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.scenarios.script import Anchor


@dataclass
class Talk:
    """What one person says in one beat; `parts` is what `Beat` takes."""

    parts: list[str | float] = field(default_factory=list)
    words: int = 0

    def say(self, text: str) -> Anchor:
        """Add a phrase; the end of its last word."""
        self.parts.append(text)
        self.words += len(text.split())
        return Anchor(self.words - 1)

    def pause(self, seconds: float) -> None:
        """Add silence."""
        self.parts.append(seconds)

    @property
    def next_word(self) -> Anchor:
        """The start of the word that will be said next."""
        return Anchor(self.words, "start")
