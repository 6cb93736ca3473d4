"""Finding a value again: in a long list, in a few sentences, or in an earlier turn."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .case import Case, Message, Task, assistant, system, up_to, user
from .words import (
    ANIMALS,
    CITIES,
    COLOURS,
    HANZI_COLOURS,
    HANZI_NAMES,
    HANZI_THINGS,
    NAMES,
    PLACES,
    THINGS,
    scrambled_word,
)


@dataclass(frozen=True)
class RecordStyle:
    """How one kind of record is written, asked for and answered."""

    record: str
    questions: list[str]
    keys: Callable[[Random, int], list[str]]
    value: Callable[[Random], str]
    separators: tuple[str, ...] = ("\n", " ")

    def write(self, key: str, value: str) -> str:
        return self.record.format(key=key, value=value)

    def ask(self, rng: Random, key: str) -> str:
        return rng.choice(self.questions).format(key=key)


def sampled(pool: list[str]) -> Callable[[Random, int], list[str]]:
    return lambda rng, count: rng.sample(pool, min(count, len(pool)))


def invented(rng: Random, count: int) -> list[str]:
    return list({scrambled_word(rng): None for _ in range(count)})


def code(rng: Random) -> str:
    return str(rng.randint(10, 9999))


def one_of(pool: list[str]) -> Callable[[Random], str]:
    return lambda rng: rng.choice(pool)


NOUNS = [*THINGS, *ANIMALS, *PLACES]
PEOPLE_AND_NOUNS = [*NAMES, *NOUNS]

STYLES = [
    RecordStyle(
        "The code of {key} is {value}.",
        ["What is the code of {key}?", "Tell me the code of {key}.", "code of {key}?"],
        sampled(PEOPLE_AND_NOUNS),
        code,
    ),
    RecordStyle(
        "The {key} is {value}.",
        ["What colour is the {key}?", "Which colour has the {key}?", "What is the colour of the {key}?"],
        sampled(NOUNS),
        one_of(COLOURS),
    ),
    RecordStyle(
        "{key} = {value}",
        ["What is {key}?", "{key} = ?", "What is the value of {key}?", "{key}?"],
        sampled(PEOPLE_AND_NOUNS),
        code,
        ("\n", ", "),
    ),
    RecordStyle(
        "{key}: {value}",
        ["What is the value of {key}?", "{key}?", "Look up {key}.", "What belongs to {key}?"],
        sampled(PEOPLE_AND_NOUNS),
        one_of(THINGS),
        ("\n", ", "),
    ),
    RecordStyle(
        "{key}: {value}",
        ["What is the value of {key}?", "{key}?", "Look up {key}.", "What belongs to {key}?"],
        invented,
        code,
        ("\n", ", "),
    ),
    RecordStyle(
        "{key} lives in {value}.",
        ["Where does {key} live?", "In which city does {key} live?", "Where is the home of {key}?"],
        sampled(NAMES),
        one_of(CITIES),
    ),
    RecordStyle(
        "{key} likes the {value}.",
        ["What does {key} like?", "Which thing does {key} like?"],
        sampled(NAMES),
        one_of(NOUNS),
    ),
    RecordStyle(
        "The {key} is in the {value}.",
        ["Where is the {key}?", "Where can I find the {key}?", "In which place is the {key}?"],
        sampled([*THINGS, *ANIMALS]),
        one_of(PLACES),
    ),
    RecordStyle(
        "{key}的号码是{value}。",
        ["{key}的号码是多少？", "{key}的号码是什么？"],
        sampled([*HANZI_NAMES, *HANZI_THINGS]),
        code,
        ("\n", ""),
    ),
    RecordStyle(
        "{key}是{value}的。",
        ["{key}是什么颜色的？", "{key}是什么颜色？"],
        sampled(HANZI_THINGS),
        one_of(HANZI_COLOURS),
        ("\n", ""),
    ),
]

INTRODUCTIONS = ["Remember this list:", "Here are some facts.", "Read this carefully:", "Facts:", "Remember:", ""]
ACKNOWLEDGEMENTS = ["OK, I will remember that.", "OK."]
FILLERS = [
    "The {animal} sleeps near the {place}.",
    "Every morning {name} walks to the {place}.",
    "It is a quiet day and the {thing} stands by the {place}.",
    "{name} and {name2} talk about the {thing}.",
    "Nobody saw the {animal} in the {place} today.",
]


def filler(rng: Random) -> str:
    name, name2 = rng.sample(NAMES, 2)
    return rng.choice(FILLERS).format(
        name=name,
        name2=name2,
        animal=rng.choice(ANIMALS),
        place=rng.choice(PLACES),
        thing=rng.choice(THINGS),
    )


def laid_out(rng: Random, facts: str, question: str) -> list[Message]:
    """Facts may come in the system message, in the question's own message or in a turn before it."""
    kind = rng.random()
    if kind < 0.2:
        return [system(facts), user(question)]
    if kind < 0.4:
        return [user(facts), assistant(ACKNOWLEDGEMENTS[0]), user(question)]
    return [user(f"{facts}\n{question}")]


def recall_case(rng: Random, pairs: int, questions: int, filler_share: float) -> Case:
    style = rng.choice(STYLES)
    records = {key: style.value(rng) for key in style.keys(rng, pairs)}
    lines = [style.write(key, value) for key, value in records.items()]
    if filler_share:
        lines = [line for record in lines for line in with_filler(rng, record, filler_share)]
    separator = rng.choice(style.separators)
    introduction = rng.choice(INTRODUCTIONS)
    facts = (introduction + "\n" if introduction else "") + separator.join(lines)

    asked = rng.sample(sorted(records), min(questions, len(records)))
    messages = laid_out(rng, facts, style.ask(rng, asked[0]))
    for before, key in zip(asked, asked[1:]):
        messages += [assistant(style.write(before, records[before])), user(style.ask(rng, key))]
    last = asked[-1]
    return Case(
        messages,
        answer=style.write(last, records[last]),
        identity=f"{facts}/{last}",
        accepts=lambda reply: reply.rstrip(".。") == style.write(last, records[last]).rstrip(".。"),
    )


def with_filler(rng: Random, record: str, share: float) -> list[str]:
    return [record, filler(rng)] if rng.random() < share else [record]


def long_list(rng: Random, size: float) -> Case:
    filler_share = rng.choice([0.0, 0.0, 0.4])
    # An upper bound of 48 records is some 500 tokens.
    return recall_case(rng, up_to(rng, 3, 48, size), rng.randint(1, 8), filler_share)


def few_facts(rng: Random, size: float) -> Case:
    return recall_case(rng, up_to(rng, 1, 4, size), rng.randint(1, 2), filler_share=rng.choice([0.0, 0.5]))


def owner(rng: Random, size: float) -> Case:
    """Who has what: some questions give the value and ask for the key."""
    count = up_to(rng, 2, 5, size)
    names, things = rng.sample(NAMES, count), rng.sample(THINGS, count)
    colours = [rng.choice(COLOURS) for _ in range(count)]
    facts = " ".join(f"{n} has {article(c)} {t}." for n, c, t in zip(names, colours, things))
    chosen = rng.sample(range(count), rng.randint(1, count))
    asked = [owner_question(rng, names[i], colours[i], things[i]) for i in chosen]
    messages = laid_out(rng, facts, asked[0][0])
    for (_, answer), (question, _) in zip(asked, asked[1:]):
        messages += [assistant(answer), user(question)]
    question, answer = asked[-1]
    # Finding the fact and turning it round are two steps.
    last = chosen[-1]
    fact = f"{names[last]} has {article(colours[last])} {things[last]}."
    return Case(messages, answer, identity=f"{facts}/{question}", reasoning=fact)


def article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def owner_question(rng: Random, name: str, colour: str, thing: str) -> tuple[str, str]:
    return rng.choice(
        [
            (f"Who has the {thing}?", f"{name} has the {thing}."),
            (f"Who has {article(thing)}?", f"{name} has the {thing}."),
            (f"What does {name} have?", f"{name} has {article(colour)} {thing}."),
            (f"What colour is the {thing}?", f"The {thing} is {colour}."),
        ]
    )


INTRODUCED = [
    ("My name is {value}.", "Nice to meet you, {value}!", "What is my name?", "Your name is {value}.", NAMES),
    ("I am {value}.", "Nice to meet you, {value}!", "Who am I?", "You are {value}.", NAMES),
    ("Hi, I'm {value}!", "Nice to meet you, {value}!", "What is my name?", "Your name is {value}.", NAMES),
    ("I live in {value}.", "{value} is a nice place!", "Where do I live?", "You live in {value}.", CITIES),
    ("My favourite colour is {value}.", "I like {value} too!", "What is my favourite colour?",
     "Your favourite colour is {value}.", COLOURS),
    ("I have a {value}.", "A {value}, how nice!", "What do I have?", "You have a {value}.", [*ANIMALS, *THINGS]),
    ("我叫{value}。", "你好，{value}！", "我叫什么名字？", "你叫{value}。", HANZI_NAMES),
]  # fmt: skip


def earlier_turn(rng: Random, size: float) -> Case:
    """The user says something and asks for it later."""
    said, reply, question, answer, pool = rng.choice(INTRODUCED)
    value = rng.choice(pool)
    if rng.random() < 0.2:
        value = scrambled_word(rng).capitalize()
    told = said.format(value=value)
    if rng.random() < 0.25:
        return Case([user(told)], reply.format(value=value), identity=f"{told}")
    if rng.random() < 0.3:
        messages = [user(f"{told} {question}")]
    else:
        messages = [user(told), assistant(reply.format(value=value)), user(question)]
    return Case(messages, answer.format(value=value), identity=f"{told}/{question}")


RECALL = Task("recall", long_list, thought="I look it up in the list.")
FEW_FACTS = Task("few_facts", few_facts, thought="I look it up.")
OWNER = Task("owner", owner)
EARLIER_TURN = Task("earlier_turn", earlier_turn, thought="The user told me.")
