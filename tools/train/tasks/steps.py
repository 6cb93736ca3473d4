"""Arithmetic of two steps. Each step is one of the small sums and differences; thinking writes them down."""

from random import Random

from .arithmetic import last_number
from .case import Case, Task, user
from .words import NAMES, THINGS

QUESTIONS = [
    "What is {problem}?",
    "{problem} = ?",
    "{problem}",
    "Calculate {problem}.",
    "Compute {problem}",
    "How much is {problem}?",
    "{problem} 等于多少？",
]
STORIES = {
    "+-": [
        "{name} has {a} {thing}s, gets {b} more and gives {c} away. How many are left?",
        "There are {a} {thing}s in the box. {name} adds {b} and then takes {c} out. How many are there now?",
    ],
    "++": [
        "{name} has {a} {thing}s, gets {b} more and buys {c} more. How many are there now?",
        "{name} counts {a} {thing}s, then {b} more, then {c} more. How many together?",
    ],
    "-+": [
        "{name} has {a} {thing}s, gives {b} away and gets {c} more. How many are there now?",
        "{name} loses {b} of {a} {thing}s and finds {c} others. How many are there now?",
    ],
    "--": [
        "{name} has {a} {thing}s, gives {b} away and loses {c} more. How many are left?",
        "There are {a} {thing}s. {name} takes {b}, then {c} more. How many are left?",
    ],
}
STORY_SHARE = 0.4
LARGEST = 99  # of all numbers but the result: no step is larger than the tasks of one step


def applied(left: int, operator: str, right: int) -> int:
    return left + right if operator == "+" else left - right


def right_operand(rng: Random, left: int, operator: str) -> int:
    """Neither above LARGEST nor below zero at the end."""
    return rng.randint(0, LARGEST - left if operator == "+" else left)


def two_steps(rng: Random, size: float) -> Case:
    first, second = rng.choice("+-"), rng.choice("+-")
    a = rng.randint(2, LARGEST)
    b = right_operand(rng, a, first)
    between = applied(a, first, b)
    c = right_operand(rng, between, second)
    result = applied(between, second, c)
    problem = f"{a} {first} {b} {second} {c}"
    if rng.random() < STORY_SHARE:
        story = rng.choice(STORIES[first + second])
        question = story.format(a=a, b=b, c=c, name=rng.choice(NAMES), thing=rng.choice(THINGS))
    else:
        question = rng.choice(QUESTIONS).format(problem=problem)
    return Case(
        messages=[user(question)],
        answer=f"{problem} = {result}",
        identity=problem,
        accepts=lambda reply: last_number(reply.split("=")[-1]) == result,
        reasoning=f"{a} {first} {b} = {between}\n{between} {second} {c} = {result}",
    )


TWO_STEPS = Task("two_steps", two_steps)
