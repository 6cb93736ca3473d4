"""Calling tools that the prompt describes, and answering from what they return.

Names, parameters and descriptions vary, so that the prompt has to be read: a call uses the words that stand
there, not those that some other prompt had.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from marks import END_OF_TOOL_CALL, TOOL_CALL

from .case import Case, Message, Task, Tool, user
from .recall import code
from .small_talk import GENERAL_KNOWLEDGE_TASK, SMALL_TALK
from .wording import COPY
from .words import ANIMALS, CITIES, NAMES, PLACES, THINGS, any_word, scrambled_word

NO_TOOL = "Sorry, I have no tool for that."
Values = dict[str, Any]


@dataclass(frozen=True)
class Ability:
    """What a tool may be able to do.

    Requests and the answer are patterns: of the arguments, by the first of each parameter's names, and of
    the results.
    """

    names: tuple[str, ...]
    description: str
    parameters: tuple[tuple[str, ...], ...]  # of each one the names it may have
    requests: tuple[str, ...]
    arguments: Callable[[Random], Values]
    results: Callable[[Random, Values], Values]
    answer: str


def city(rng: Random) -> Values:
    return {"city": rng.choice(CITIES) if rng.random() < 0.7 else scrambled_word(rng).capitalize()}


def item(rng: Random) -> Values:
    return {"item": rng.choice([*THINGS, *ANIMALS]) if rng.random() < 0.9 else scrambled_word(rng)}


def person(rng: Random) -> Values:
    return {"person": rng.choice(NAMES) if rng.random() < 0.8 else scrambled_word(rng).capitalize()}


def two_numbers(rng: Random) -> Values:
    return {"a": rng.randint(2, 99), "b": rng.randint(2, 99)}


def message(rng: Random) -> Values:
    return person(rng) | {"text": " ".join(any_word(rng) for _ in range(rng.randint(1, 4)))}


def weather(rng: Random, _: Values) -> Values:
    return {"weather": rng.choice(["sunny", "cloudy", "rainy", "windy", "snowy"]), "degrees": rng.randint(-9, 39)}


ABILITIES = [
    Ability(
        names=("get_weather", "weather", "current_weather", "weather_of"),
        description="The weather of a city",
        parameters=(("city", "place", "location"),),
        requests=("What is the weather in {city}?", "How is the weather in {city}?", "Weather in {city}?"),
        arguments=city,
        results=weather,
        answer="It is {weather} in {city}, {degrees} degrees.",
    ),
    Ability(
        names=("get_time", "time", "current_time", "clock"),
        description="The time in a city",
        parameters=(("city", "place", "location"),),
        requests=("What time is it in {city}?", "Tell me the time in {city}.", "How late is it in {city}?"),
        arguments=city,
        results=lambda rng, _: {"time": f"{rng.randint(0, 23)}:{rng.randint(10, 59)}"},
        answer="It is {time} in {city}.",
    ),
    Ability(
        names=("get_price", "price", "price_of", "shop"),
        description="What a thing costs",
        parameters=(("item", "thing", "product"),),
        requests=("How much is the {item}?", "What does the {item} cost?", "What is the price of the {item}?"),
        arguments=item,
        results=lambda rng, _: {"price": rng.randint(1, 999)},
        answer="The {item} costs {price}.",
    ),
    Ability(
        names=("find_item", "find", "locate", "where_is"),
        description="Where a thing is",
        parameters=(("item", "thing", "name"),),
        requests=("Where is the {item}?", "Find the {item}.", "Where can I find the {item}?"),
        arguments=item,
        results=lambda rng, _: {"place": rng.choice(PLACES)},
        answer="The {item} is in the {place}.",
    ),
    Ability(
        names=("get_number", "phone_number", "find_number", "phone_book"),
        description="The number of a person",
        parameters=(("person", "name", "who"),),
        requests=("What is the number of {person}?", "Find the number of {person}.", "Which number has {person}?"),
        arguments=person,
        results=lambda rng, _: {"number": code(rng)},
        answer="The number of {person} is {number}.",
    ),
    Ability(
        names=("multiply", "product", "times"),
        description="Multiplies two numbers",
        parameters=(("a", "x", "first"), ("b", "y", "second")),
        requests=("What is {a} times {b}?", "Multiply {a} by {b}.", "{a} * {b} = ?", "Calculate {a} * {b}."),
        arguments=two_numbers,
        results=lambda rng, values: {"result": values["a"] * values["b"]},
        answer="{a} * {b} = {result}",
    ),
    Ability(
        names=("send_message", "send", "write_to", "message"),
        description="Sends a text to a person",
        parameters=(("person", "to", "name"), ("text", "message", "content")),
        requests=('Send "{text}" to {person}.', "Tell {person}: {text}", 'Write "{text}" to {person}.'),
        arguments=message,
        results=lambda rng, _: {"sent": True},
        answer="I sent it to {person}.",
    ),
    Ability(
        names=("set_timer", "timer", "start_timer"),
        description="Starts a timer",
        parameters=(("minutes", "time", "length"),),
        requests=("Set a timer for {minutes} minutes.", "Wake me in {minutes} minutes.", "Timer, {minutes} minutes!"),
        arguments=lambda rng: {"minutes": rng.randint(2, 99)},
        results=lambda rng, _: {"started": True},
        answer="The timer is set for {minutes} minutes.",
    ),
]


@dataclass(frozen=True)
class Described:
    """An ability under the names that one prompt gives it."""

    ability: Ability
    name: str
    parameters: tuple[str, ...]

    @classmethod
    def draw(cls, rng: Random, ability: Ability) -> "Described":
        return cls(ability, rng.choice(ability.names), tuple(rng.choice(names) for names in ability.parameters))

    def schema(self, rng: Random, example: Values) -> Tool:
        properties = {}
        for name, value in zip(self.parameters, example.values()):
            properties[name] = {"type": "integer" if isinstance(value, int) else "string"}
        function: dict[str, Any] = {"name": self.name}
        if rng.random() < 0.7:
            function["description"] = self.ability.description
        function["parameters"] = {"type": "object", "properties": properties}
        if rng.random() < 0.7:
            function["parameters"]["required"] = list(self.parameters)
        return {"type": "function", "function": function}

    def call(self, values: Values) -> dict[str, str]:
        """As in an assistant's message: the arguments are JSON text."""
        arguments = dict(zip(self.parameters, values.values()))
        return {"name": self.name, "arguments": json.dumps(arguments, ensure_ascii=False)}


def call_text(call: dict[str, str]) -> str:
    """A call as the model writes it."""
    name = json.dumps(call["name"], ensure_ascii=False)
    return f'{TOOL_CALL}\n{{"name": {name}, "arguments": {call["arguments"]}}}\n{END_OF_TOOL_CALL}'


CALL = rf"{TOOL_CALL}\n(.*?)\n{END_OF_TOOL_CALL}"


def calls_in(reply: str) -> list[dict] | None:
    """The calls of a reply that holds nothing else; None where there are none, or something else."""
    calls = re.findall(CALL, reply, re.DOTALL)
    if not calls or re.sub(CALL, "", reply, flags=re.DOTALL).strip("\n"):
        return None
    try:
        return [json.loads(call) for call in calls]
    except json.JSONDecodeError:
        return None


def offered(rng: Random, wanted: list[Described], others: list[Ability], example: Values) -> list[Tool]:
    """The tools of a prompt: those wanted and some more, in any order."""
    tools = [described.schema(rng, example) for described in wanted]
    for ability in rng.sample(others, rng.choice([0, 1, 1, 2])):
        tools.append(Described.draw(rng, ability).schema(rng, ability.arguments(rng)))
    rng.shuffle(tools)
    return tools


def others_than(ability: Ability) -> list[Ability]:
    return [other for other in ABILITIES if other is not ability]


def tool_call(rng: Random, size: float) -> Case:
    ability = rng.choice(ABILITIES)
    described, values = Described.draw(rng, ability), ability.arguments(rng)
    call = described.call(values)
    expected = {"name": call["name"], "arguments": json.loads(call["arguments"])}
    return Case(
        messages=[user(rng.choice(ability.requests).format(**values))],
        answer=call_text(call),
        identity=f"{ability.names[0]}/{values}",
        accepts=lambda reply: calls_in(reply) == [expected],
        tools=offered(rng, [described], others_than(ability), values),
        reasoning=f"The tool for this is {described.name}.",
    )


def tool_answer(rng: Random, size: float) -> Case:
    ability = rng.choice(ABILITIES)
    described, values = Described.draw(rng, ability), ability.arguments(rng)
    results = ability.results(rng, values)
    call: Message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_0", "type": "function", "function": described.call(values)}],
    }
    returned = {"role": "tool", "tool_call_id": "call_0", "content": json.dumps(results, ensure_ascii=False)}
    return Case(
        messages=[user(rng.choice(ability.requests).format(**values)), call, returned],
        answer=ability.answer.format(**values, **results),
        identity=f"{ability.names[0]}/{values}",
        tools=offered(rng, [described], others_than(ability), values),
        reasoning="The tool has answered.",
    )


def no_tool_needed(rng: Random, size: float) -> Case:
    """There are tools, but what is asked for is something the model does itself, or that none of them does."""
    if rng.random() < 0.5:
        task = rng.choice([COPY, SMALL_TALK, GENERAL_KNOWLEDGE_TASK])
        case = task.generate(rng, 0.5)
        messages, answer, reasoning = case.messages, case.answer, task.thought
        abilities = ABILITIES
    else:
        ability = rng.choice(ABILITIES)
        messages = [user(rng.choice(ability.requests).format(**ability.arguments(rng)))]
        answer, reasoning = NO_TOOL, "There is no tool for this."
        abilities = others_than(ability)
    described = Described.draw(rng, rng.choice(abilities))
    others = [ability for ability in abilities if ability is not described.ability]
    tools = offered(rng, [described], others, described.ability.arguments(rng))
    return Case(messages, answer, identity=messages[-1]["content"], tools=tools, reasoning=reasoning)


TOOL_CALL_TASK = Task("tool_call", tool_call)
TOOL_ANSWER = Task("tool_answer", tool_answer)
NO_TOOL_NEEDED = Task("no_tool_needed", no_tool_needed)
