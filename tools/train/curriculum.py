"""What the model sees at which point of the training."""

from random import Random

from tasks import PLAIN_TEXTS, TASKS, Message, system
from transcript import Transcript, every_reply, last_reply_only, plain_text
from vocabulary import Tokenizer

# Shares of the documents drawn; recall's documents are many times longer than the others.
SHARES = {
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
}

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


def size_at(progress: float, name: str) -> float:
    """How large the cases of a task may be at this point."""
    if name != "recall":
        return min(1.0, 0.15 + 2 * progress)
    first, last = RECALL_GROWTH
    grown = min(1.0, max(0.0, (progress - first) / (last - first)))
    return SHORT_LISTS + (1 - SHORT_LISTS) * grown


def conversation(rng: Random, name: str, size: float) -> list[Message]:
    turns = TASKS[name].draw(rng, size, held_out=False).conversation()
    if name != "recall" and rng.random() < SEVERAL_CASES_SHARE:
        for _ in range(rng.randint(1, 4)):
            turns += follow_up(rng, size)
    if turns[0]["role"] != "system" and rng.random() < SYSTEM_SHARE:
        turns = [system(rng.choice(SYSTEM_LINES)), *turns]
    return turns


def follow_up(rng: Random, size: float) -> list[Message]:
    """Another short case in the same conversation."""
    while True:
        turns = TASKS[rng.choice(SHORT_TASKS)].draw(rng, size, held_out=False).conversation()
        # Facts given in a system message cannot come in the middle.
        if turns[0]["role"] != "system":
            return turns


def document(rng: Random, tokenizer: Tokenizer, progress: float) -> Transcript:
    name = rng.choices(list(SHARES), weights=list(SHARES.values()))[0]
    if name in PLAIN_TEXTS:
        return plain_text(tokenizer, PLAIN_TEXTS[name](rng))
    turns = conversation(rng, name, size_at(progress, name))
    if rng.random() < HISTORY_AS_SERVED_SHARE:
        return last_reply_only(tokenizer, turns)
    return every_reply(tokenizer, turns)


def corpus(seed: int, documents: int) -> list[str]:
    """Text for the vocabulary, of the same mixture as the training."""
    rng = Random(f"{seed}/vocabulary")
    texts = []
    for _ in range(documents):
        name = rng.choices(list(SHARES), weights=list(SHARES.values()))[0]
        if name in PLAIN_TEXTS:
            texts.append("".join(text for text, _ in PLAIN_TEXTS[name](rng)))
        else:
            # One text per turn as rendered; the words of replies come up with and without a space.
            for turn in conversation(rng, name, 0.4):
                label = {"user": "User: ", "assistant": "Assistant: ", "system": ""}[turn["role"]]
                texts.append(label + turn["content"])
                texts.append(turn["content"])
    return texts
