"""What a task produces: one conversation with an answer that can be checked."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

# As in requests: role and content, for some also reasoning_content or tool_calls; tools as JSON has them.
Message = dict[str, Any]
Tool = dict[str, Any]

HELD_OUT_SHARE = 10  # one case in this many is never trained on


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


def system(content: str) -> Message:
    return {"role": "system", "content": content}


@dataclass(frozen=True)
class Conversation:
    """Ends with an assistant's turn, which was asked for with thinking on or off."""

    messages: list[Message]
    tools: list[Tool] = field(default_factory=list)
    thinking: bool = False


@dataclass(frozen=True)
class Case:
    """`messages` ends with the turn that `answer` replies to: the user's, or a tool's.

    `reasoning` is what a model that thinks would write before the answer.

    `identity` says what makes two cases the same question whatever their phrasing; None marks small
    talk with a fixed reply, which has no held-out part. `accepts` judges a reply (default: equality).
    """

    messages: list[Message]
    answer: str
    identity: str | None = None
    accepts: Callable[[str], bool] | None = None
    always_trained: bool = False  # never held out, whatever its hash
    tools: list[Tool] = field(default_factory=list)
    reasoning: str = ""

    def is_correct(self, reply: str) -> bool:
        reply = reply.strip()
        return self.accepts(reply) if self.accepts else reply == self.answer

    def conversation(self, thinking: bool = False) -> Conversation:
        reply = assistant(self.answer)
        if thinking:
            reply["reasoning_content"] = self.reasoning
        return Conversation([*self.messages, reply], self.tools, thinking)


@dataclass(frozen=True)
class Task:
    """generate(rng, size): `size` in 0..1 bounds how large the case may be (list lengths, numbers).

    `thought` is the reasoning of all cases that bring none of their own.
    """

    name: str
    generate: Callable[[Random, float], Case]
    thought: str = ""

    def draw(self, rng: Random, size: float, held_out: bool) -> Case:
        """A case from the trained or from the held-out part."""
        while True:
            case = self.generate(rng, size)
            if case.identity is None or self.holds_out(case) == held_out:
                return replace(case, reasoning=case.reasoning or self.thought)

    def holds_out(self, case: Case) -> bool:
        return not case.always_trained and case.identity is not None and is_held_out(self.name, case.identity)


def is_held_out(task: str, identity: str) -> bool:
    digest = hashlib.sha256(f"{task}/{identity}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_SHARE == 0


def up_to(rng: Random, low: int, high: int, size: float) -> int:
    """A whole number from low to the point `size` of the way to high."""
    return rng.randint(low, low + round((high - low) * size))
