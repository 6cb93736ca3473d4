"""Short stories from templates, asked for in a chat or as plain text to continue."""

from random import Random

from .case import Case, Task, user
from .words import ANIMALS, COLOURS, NAMES, PLACES, THINGS

REQUESTS = [
    "Tell me a story.",
    "Tell me a story",
    "tell me a story",
    "Please tell me a story.",
    "Can you tell me a story?",
    "Write a short story.",
    "Tell me another story.",
]
REQUESTS_ABOUT = [
    "Tell me a story about a {animal}.",
    "Tell me a story about a {animal}",
    "Tell me a story about a {animal} called {name}.",
    "Write a story about a {animal}.",
    "Can you tell me a story about a {animal}?",
]
OPENINGS = [
    "Once upon a time there was a little {animal} called {name}.",
    "Long ago a {colour} {animal} called {name} lived near a {place}.",
]
WISHES = [
    "{name} wanted to find a {thing}.",
    "One day {name} lost a {colour} {thing}.",
    "Every night {name} dreamed of a {colour} {thing}.",
]
SEARCHES = [
    "So the {animal} walked to the {place} and looked everywhere.",
    "So {name} went to the {place} to look for it.",
]
FRIENDS = [
    "There {name} met a kind {friend}.",
    "On the way {name} met an old friend, the {friend}.",
]
HELP = [
    '"I can help you," said the {friend}.',
    '"Let us look together," said the {friend}.',
]
FINDS = [
    "They looked under a big tree, and there was the {thing}!",
    "They looked behind a stone, and there was the {thing}!",
]
CLOSINGS = [
    "{name} was very happy, and the two were friends from that day on. The end.",
    "Then they shared some bread and watched the stars. The end.",
]
PARTS = [OPENINGS, WISHES, SEARCHES, FRIENDS, HELP, FINDS, CLOSINGS]

CHINESE_REQUESTS = ["讲个故事。", "给我讲个故事吧。", "请讲一个故事。"]
CHINESE_STORY = "从前有一只小猫，住在山上。有一天，小猫去河边看鱼，遇到了一只小狗。它们一起玩，成了好朋友。"


def written(rng: Random, animal: str, name: str) -> str:
    slots = {
        "animal": animal,
        "name": name,
        "friend": rng.choice([a for a in ANIMALS if a != animal]),
        "place": rng.choice(PLACES),
        "thing": rng.choice(THINGS),
        "colour": rng.choice(COLOURS),
    }
    return " ".join(rng.choice(part).format(**slots) for part in PARTS)


def tells_of(animal: str | None, name: str | None, reply: str) -> bool:
    """A finished story about whom it was asked for, of a sensible length."""
    named = all(word in reply for word in (animal, name) if word)
    return named and reply.endswith("The end.") and 40 <= len(reply.split()) <= 120


def story(rng: Random, size: float) -> Case:
    animal, name = rng.choice(ANIMALS), rng.choice(NAMES)
    if rng.random() < 0.08:
        return Case([user(rng.choice(CHINESE_REQUESTS))], CHINESE_STORY)
    if rng.random() < 0.4:
        request, asked = rng.choice(REQUESTS), (None, None)
    else:
        pattern = rng.choice(REQUESTS_ABOUT)
        request = pattern.format(animal=animal, name=name)
        asked = (animal, name if "{name}" in pattern else None)
    return Case(
        [user(request)],
        written(rng, animal, name),
        identity=f"{animal}/{name}",
        accepts=lambda reply: tells_of(*asked, reply),
    )


def plain_story(rng: Random) -> list[tuple[str, bool]]:
    return [(written(rng, rng.choice(ANIMALS), rng.choice(NAMES)), True)]


STORY = Task("story", story, thought="I make up a story.")
