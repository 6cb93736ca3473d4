"""What a model sees at which point of the training."""

from dataclasses import dataclass
from random import Random

from layout import HybridLayout, PlainLayout
from tasks import HYBRID_TASKS, PLAIN_TEXTS, TASKS, Conversation, Message, Task, system
from transcript import Transcript, every_reply, last_reply_only, plain_text
from vocabulary import Tokenizer

SYSTEM_LINES = [
    "You are a helpful assistant.",
    "You are erne-tiny, a helpful assistant.",
    "You are a friendly assistant.",
    "Answer the questions of the user.",
    "Be brief.",
    "Be brief and kind.",
    "Please give short answers.",
    "你是一个有用的助手。",
]

SYSTEM_SHARE = 0.12
SEVERAL_CASES_SHARE = 0.2
HISTORY_AS_SERVED_SHARE = 0.25
SHORT_TASKS = [name for name in TASKS if name not in ("recall", "story")]

# Looking things up is learnt on short lists, where there is little to confuse, and then on longer ones:
# the lists grow from the first to the second of these points of the training.
RECALL_GROWTH = (0.45, 0.65)
SHORT_LISTS = 0.15


@dataclass(frozen=True)
class Curriculum:
    """`shares` are those of the documents drawn; recall's documents are many times longer than the others."""

    tasks: dict[str, Task]
    shares: dict[str, float]
    layout: PlainLayout
    grows: bool = True  # from small cases to large ones; no use where a model knows most tasks already

    def size_at(self, progress: float, name: str) -> float:
        """How large the cases of a task may be at this point."""
        if not self.grows:
            return 1.0
        if name != "recall":
            return min(1.0, 0.15 + 2 * progress)
        first, last = RECALL_GROWTH
        grown = min(1.0, max(0.0, (progress - first) / (last - first)))
        return SHORT_LISTS + (1 - SHORT_LISTS) * grown

    def conversation(self, rng: Random, name: str, size: float) -> Conversation:
        conversation = self.tasks[name].draw(rng, size, held_out=False).conversation(self.draws_thinking(rng, name))
        turns = conversation.messages
        if name != "recall" and rng.random() < SEVERAL_CASES_SHARE:
            for _ in range(rng.randint(1, 4)):
                turns = self.with_another_case(rng, turns, size)
        if turns[0]["role"] != "system" and rng.random() < SYSTEM_SHARE:
            turns = [system(rng.choice(SYSTEM_LINES)), *turns]
        return Conversation(turns, conversation.tools, conversation.thinking)

    def draws_thinking(self, rng: Random, name: str) -> bool:
        return False

    def with_another_case(self, rng: Random, turns: list[Message], size: float) -> list[Message]:
        return [*turns, *follow_up(rng, size)]

    def document(self, rng: Random, tokenizer: Tokenizer, progress: float) -> Transcript:
        name = self.draw_name(rng)
        if name in PLAIN_TEXTS:
            return plain_text(tokenizer, PLAIN_TEXTS[name](rng))
        conversation = self.conversation(rng, name, self.size_at(progress, name))
        if rng.random() < HISTORY_AS_SERVED_SHARE:
            return last_reply_only(tokenizer, self.layout, conversation)
        return every_reply(tokenizer, self.layout, conversation)

    def draw_name(self, rng: Random) -> str:
        return rng.choices(list(self.shares), weights=list(self.shares.values()))[0]


class HybridCurriculum(Curriculum):
    """Of every task some replies are thought about."""

    THINKING_SHARE = 0.25
    THINKING_SHARES = {"two_steps": 0.8, "owner": 0.5, "tool_call": 0.4, "tool_answer": 0.4, "no_tool_needed": 0.4}

    def draws_thinking(self, rng: Random, name: str) -> bool:
        return rng.random() < self.THINKING_SHARES.get(name, self.THINKING_SHARE)

    def with_another_case(self, rng: Random, turns: list[Message], size: float) -> list[Message]:
        """Before the others: the last reply is the one that thinking and tools are about."""
        return [*follow_up(rng, size), *turns] if turns[0]["role"] != "system" else turns


def follow_up(rng: Random, size: float) -> list[Message]:
    """Another short case in the same conversation."""
    while True:
        turns = TASKS[rng.choice(SHORT_TASKS)].draw(rng, size, held_out=False).conversation().messages
        # Facts given in a system message cannot come in the middle.
        if turns[0]["role"] != "system":
            return turns


TINY_CURRICULUM = Curriculum(
    tasks=TASKS,
    shares={
        "sum_one_digit": 6,
        "sum_two_digits": 11,
        "sum_mixed": 6,
        "difference_one_digit": 2,
        "difference_two_digits": 9,
        "count": 2.5,
        "copy": 18,
        "reverse": 14,
        "sort": 15,
        "recall": 10,
        "few_facts": 5,
        "owner": 14,
        "earlier_turn": 2.5,
        "story": 1.5,
        "small_talk": 2,
        "general_knowledge": 1,
        "beyond": 1,
        "drill": 4,
        "plain_story": 0.5,
    },
    layout=PlainLayout(),
)

# Documents with tools are as long as recall's.
MOE_CURRICULUM = HybridCurriculum(
    tasks=HYBRID_TASKS,
    shares={
        "two_steps": 16,
        "tool_call": 12,
        "tool_answer": 4,
        "no_tool_needed": 4,
        "sum_one_digit": 3,
        "sum_two_digits": 5,
        "sum_mixed": 3,
        "difference_one_digit": 2,
        "difference_two_digits": 4,
        "count": 1.5,
        "copy": 9,
        "reverse": 7,
        "sort": 7,
        "recall": 4,
        "few_facts": 2.5,
        "owner": 10,
        "earlier_turn": 1.5,
        "story": 1.5,
        "small_talk": 2,
        "general_knowledge": 1,
        "beyond": 1,
        "drill": 2,
        "plain_story": 0.5,
    },
    layout=HybridLayout(),
    grows=False,
)


def corpus(curriculum: Curriculum, seed: int, documents: int) -> list[str]:
    """Text for the vocabulary, of the same mixture as the training."""
    rng = Random(f"{seed}/vocabulary")
    texts = []
    for _ in range(documents):
        name = curriculum.draw_name(rng)
        if name in PLAIN_TEXTS:
            texts.append("".join(text for text, _ in PLAIN_TEXTS[name](rng)))
        else:
            # One text per turn as rendered; the words of replies come up with and without a space.
            for turn in curriculum.conversation(rng, name, 0.4).messages:
                label = {"user": "User: ", "assistant": "Assistant: ", "system": ""}[turn["role"]]
                texts.append(label + turn["content"])
                texts.append(turn["content"])
    return texts
