"""Copying, reversing and sorting of words."""

from random import Random

from .case import Case, Task, up_to, user
from .words import (
    CAPITALISED,
    ENGLISH_WORDS,
    HANZI_COLOURS,
    HANZI_NAMES,
    HANZI_THINGS,
    any_word,
    distinct_words,
    number,
    scrambled_word,
)

COPY_REQUESTS = [
    "Repeat: {text}",
    "Repeat after me: {text}",
    "Repeat this: {text}",
    "Repeat exactly: {text}",
    "Please repeat: {text}",
    "Copy: {text}",
    "Copy this: {text}",
    "Copy this text: {text}",
    "Say: {text}",
    "Say this: {text}",
    "Echo: {text}",
    'Repeat "{text}"',
    'Say "{text}"',
    "请重复：{text}",
    "重复：{text}",
    "跟我说：{text}",
]
REVERSE_REQUESTS = [
    "Reverse the order of these words: {text}",
    "Reverse these words: {text}",
    "Reverse: {text}",
    "Write these words in reverse order: {text}",
    "Say these words backwards: {text}",
]
SORT_REQUESTS = [
    "Sort these words: {text}",
    "Sort: {text}",
    "Sort alphabetically: {text}",
    "Sort these words alphabetically: {text}",
    "Put these words in alphabetical order: {text}",
]
ENDINGS = ["", "", "", ".", "!", "?"]


def english_text(rng: Random, count: int) -> str:
    words = [number(rng) if rng.random() < 0.06 else any_word(rng) for _ in range(count)]
    if rng.random() < 0.15:
        return ", ".join(words)
    text = " ".join(words)
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + rng.choice(ENDINGS)


def chinese_text(rng: Random, count: int) -> str:
    words = [*HANZI_THINGS, *HANZI_NAMES, *HANZI_COLOURS, "的", "和", "在", "有"]
    return "".join(rng.choice(words) for _ in range(count)) + rng.choice(["", "。"])


def scrambled_text(rng: Random, count: int) -> str:
    return " ".join(number(rng) if rng.random() < 0.3 else scrambled_word(rng) for _ in range(count))


def copy(rng: Random, size: float) -> Case:
    kind = rng.random()
    if kind < 0.75:
        text = english_text(rng, up_to(rng, 1, 14, size))
    elif kind < 0.88:
        text = chinese_text(rng, up_to(rng, 1, 8, size))
    else:
        text = scrambled_text(rng, up_to(rng, 1, 5, size))
    return Case([user(rng.choice(COPY_REQUESTS).format(text=text))], text, identity=text)


def word_list_case(rng: Random, requests: list[str], words: list[str], answer: list[str]) -> Case:
    separator = ", " if rng.random() < 0.3 else " "
    request = rng.choice(requests).format(text=separator.join(words))
    return Case([user(request)], separator.join(answer), identity=" ".join(words))


def reverse(rng: Random, size: float) -> Case:
    words = distinct_words(rng, up_to(rng, 2, 7, size))
    return word_list_case(rng, REVERSE_REQUESTS, words, words[::-1])


def sort(rng: Random, size: float) -> Case:
    pool = CAPITALISED if rng.random() < 0.2 else ENGLISH_WORDS
    words = rng.sample(pool, up_to(rng, 2, 6, size))
    return word_list_case(rng, SORT_REQUESTS, words, sorted(words))


COPY = Task("copy", copy, thought="I repeat the text.")
REVERSE = Task("reverse", reverse, thought="I start with the last word.")
SORT = Task("sort", sort, thought="I go through the alphabet.")
