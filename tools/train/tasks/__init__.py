"""Synthetic tasks with checkable answers, by name: all models know `TASKS`, hybrid ones `HYBRID_TASKS`."""

from .arithmetic import (
    COUNT,
    DIFFERENCE_ONE_DIGIT,
    DIFFERENCE_TWO_DIGITS,
    SUM_MIXED,
    SUM_ONE_DIGIT,
    SUM_TWO_DIGITS,
    drill,
)
from .case import Case, Conversation, Message, Task, Tool, assistant, system, user
from .recall import EARLIER_TURN, FEW_FACTS, OWNER, RECALL
from .small_talk import BEYOND_TASK, GENERAL_KNOWLEDGE_TASK, SMALL_TALK
from .steps import TWO_STEPS
from .stories import STORY, plain_story
from .tools import NO_TOOL_NEEDED, TOOL_ANSWER, TOOL_CALL_TASK, call_text
from .wording import COPY, REVERSE, SORT

TASKS = {
    task.name: task
    for task in (
        SUM_ONE_DIGIT,
        SUM_TWO_DIGITS,
        SUM_MIXED,
        DIFFERENCE_ONE_DIGIT,
        DIFFERENCE_TWO_DIGITS,
        COUNT,
        COPY,
        REVERSE,
        SORT,
        RECALL,
        FEW_FACTS,
        OWNER,
        EARLIER_TURN,
        STORY,
        SMALL_TALK,
        GENERAL_KNOWLEDGE_TASK,
        BEYOND_TASK,
    )
}

HYBRID_TASKS = TASKS | {task.name: task for task in (TWO_STEPS, TOOL_CALL_TASK, TOOL_ANSWER, NO_TOOL_NEEDED)}

PLAIN_TEXTS = {"drill": drill, "plain_story": plain_story}

__all__ = [
    "HYBRID_TASKS",
    "PLAIN_TEXTS",
    "TASKS",
    "Case",
    "Conversation",
    "Message",
    "Task",
    "Tool",
    "assistant",
    "call_text",
    "system",
    "user",
]
