"""Sums, differences and counting. Every answer restates the problem: "12 + 7 = 19"."""

import re
from random import Random

from .case import Case, Task, up_to, user
from .words import NAMES, THINGS

SUM_QUESTIONS = [
    "What is {a} + {b}?",
    "What is {a} plus {b}?",
    "{a} + {b} = ?",
    "{a} + {b}",
    "{a}+{b}",
    "{a}+{b}=?",
    "What's {a}+{b}?",
    "what is {a} + {b}",
    "Add {a} and {b}.",
    "How much is {a} + {b}?",
    "Calculate {a} + {b}.",
    "Compute {a} + {b}",
    "What is the sum of {a} and {b}?",
    "Please add {a} and {b}",
    "Can you add {a} and {b}?",
    "{a}加{b}等于多少？",
    "{a} + {b} 等于几？",
    "{a}加{b}是多少？",
]
SUM_STORIES = [
    "{name} has {a} {thing}s and gets {b} more. How many are there now?",
    "{name} has {a} {thing}s and buys {b} more. How many {thing}s does {name} have?",
    "There are {a} {thing}s on the table and {b} {thing}s in the box. How many together?",
]
DIFFERENCE_QUESTIONS = [
    "What is {a} - {b}?",
    "What is {a} minus {b}?",
    "{a} - {b} = ?",
    "{a} - {b}",
    "{a}-{b}",
    "{a}-{b}=?",
    "What's {a}-{b}?",
    "what is {a} - {b}",
    "Subtract {b} from {a}.",
    "How much is {a} - {b}?",
    "Calculate {a} - {b}.",
    "Compute {a} - {b}",
    "Take {b} away from {a}.",
    "{a}减{b}等于多少？",
    "{a} - {b} 等于几？",
    "{a}减{b}是多少？",
]
DIFFERENCE_STORIES = [
    "{name} has {a} {thing}s and gives {b} away. How many are left?",
    "{name} has {a} {thing}s and loses {b} of them. How many {thing}s does {name} have now?",
]
COUNT_QUESTIONS = [
    "Count from {a} to {b}.",
    "Count from {a} to {b}",
    "Please count from {a} to {b}.",
    "List the numbers from {a} to {b}.",
    "从{a}数到{b}。",
]

ONE_DIGIT = (0, 9)
TWO_DIGIT = (10, 99)
UP_TO_TWO_DIGITS = (0, 99)


def last_number(text: str) -> int | None:
    found = re.findall(r"(?<![\d-])-?\d+", text)
    return int(found[-1]) if found else None


def phrased(rng: Random, questions: list[str], stories: list[str], a: int, b: int) -> str:
    pattern = rng.choice(stories if rng.random() < 0.08 else questions)
    return pattern.format(a=a, b=b, name=rng.choice(NAMES), thing=rng.choice(THINGS))


def sum_task(name: str, first: tuple[int, int], second: tuple[int, int]) -> Task:
    def generate(rng: Random, size: float) -> Case:
        a, b = rng.randint(*first), rng.randint(*second)
        if rng.random() < 0.5:
            a, b = b, a
        return Case(
            messages=[user(phrased(rng, SUM_QUESTIONS, SUM_STORIES, a, b))],
            answer=f"{a} + {b} = {a + b}",
            # Both orders are one case: 57 + 15 must not give 15 + 57 away.
            identity=f"{min(a, b)}+{max(a, b)}",
            accepts=lambda reply: last_number(reply) == a + b,
            # Of one-digit sums there are too few to hold out both orders: 6 + 2 may give 2 + 6 away.
            always_trained=a < 10 and b <= a,
        )

    return Task(name, generate, thought="This is a sum.")


def difference_task(name: str, first: tuple[int, int], second: tuple[int, int]) -> Task:
    def generate(rng: Random, size: float) -> Case:
        a, b = rng.randint(*first), rng.randint(*second)
        if a < b and rng.random() < 0.9:  # negative results are the exception
            a, b = b, a
        return Case(
            messages=[user(phrased(rng, DIFFERENCE_QUESTIONS, DIFFERENCE_STORIES, a, b))],
            answer=f"{a} - {b} = {a - b}",
            identity=f"{a}-{b}",
            accepts=lambda reply: last_number(reply.split("=")[-1]) == a - b,
            always_trained=a == b < 10,  # 0 is the result of nothing else
        )

    return Task(name, generate, thought="This is a difference.")


def count(rng: Random, size: float) -> Case:
    first = rng.randint(0, 80) if rng.random() < 0.6 else 1
    last = first + up_to(rng, 2, 19, size)
    return Case(
        messages=[user(rng.choice(COUNT_QUESTIONS).format(a=first, b=last))],
        answer=", ".join(str(n) for n in range(first, last + 1)),
        identity=f"{first}..{last}",
    )


def drill(rng: Random) -> list[tuple[str, bool]]:
    """Plain text, problem after problem; only the results are trained on, operands are chance."""
    segments: list[tuple[str, bool]] = []
    tasks = DRILLED
    for _ in range(rng.randint(6, 16)):
        problem = rng.choice(tasks).draw(rng, 1.0, held_out=False).answer
        question, result = problem.split("= ")
        segments += [(question + "= ", False), (result + "\n", True)]
    return segments


SUM_ONE_DIGIT = sum_task("sum_one_digit", ONE_DIGIT, ONE_DIGIT)
SUM_TWO_DIGITS = sum_task("sum_two_digits", TWO_DIGIT, TWO_DIGIT)
SUM_MIXED = sum_task("sum_mixed", ONE_DIGIT, TWO_DIGIT)
DIFFERENCE_ONE_DIGIT = difference_task("difference_one_digit", ONE_DIGIT, ONE_DIGIT)
DIFFERENCE_TWO_DIGITS = difference_task("difference_two_digits", TWO_DIGIT, UP_TO_TWO_DIGITS)
COUNT = Task("count", count, thought="I count one by one.")

DRILLED = [SUM_TWO_DIGITS, SUM_TWO_DIGITS, SUM_ONE_DIGIT, SUM_MIXED, DIFFERENCE_TWO_DIGITS]
