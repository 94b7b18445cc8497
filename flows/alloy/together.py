"""One look for all who look: where Alloy shows only a whole list, it is asked for once, not once for each of them.

A look proves something only to those who asked before it began, so whoever comes while one is under way waits for the
next. However many look at once, two lists answer them all, one after the other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from states.failures import Failure

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")


@dataclass(slots=True)
class _Round(Generic[QuestionT, AnswerT]):
    """Those who are answered by one look, and how it ended."""

    questions: set[QuestionT] = field(default_factory=set)
    ended: list[AnswerT | Failure] = field(default_factory=list)
    """Empty until it has."""


class Together(Generic[QuestionT, AnswerT]):
    """Carries ``look`` out for everybody who has asked by then, with all that they asked."""

    def __init__(self, look: Callable[[frozenset[QuestionT]], Awaitable[AnswerT]]) -> None:
        self._look = look
        self._one_at_a_time = asyncio.Lock()
        self._next: _Round[QuestionT, AnswerT] | None = None

    async def ask(self, *questions: QuestionT) -> AnswerT:
        """Return the answer of a look that begins after this was called; its failure is everybody's who shares it."""
        mine = self._next = self._next or _Round()
        mine.questions.update(questions)
        async with self._one_at_a_time:
            if not mine.ended:  # nobody has looked yet, or whoever did was interrupted
                if self._next is mine:
                    self._next = None
                try:
                    mine.ended.append(await self._look(frozenset(mine.questions)))
                except Failure as failure:
                    mine.ended.append(failure)
        [end] = mine.ended
        if isinstance(end, Failure):
            raise copy(end)  # one exception belongs to one task
        return end
