"""Synthetic tasks with checkable answers. `TASKS` is what evaluate measures, by name."""

from .arithmetic import (
    COUNT,
    DIFFERENCE_ONE_DIGIT,
    DIFFERENCE_TWO_DIGITS,
    SUM_MIXED,
    SUM_ONE_DIGIT,
    SUM_TWO_DIGITS,
    drill,
)
from .case import Case, Message, Task, assistant, system, user
from .recall import EARLIER_TURN, FEW_FACTS, OWNER, RECALL
from .small_talk import BEYOND_TASK, GENERAL_KNOWLEDGE_TASK, SMALL_TALK
from .stories import STORY, plain_story
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

PLAIN_TEXTS = {"drill": drill, "plain_story": plain_story}

__all__ = ["PLAIN_TEXTS", "TASKS", "Case", "Message", "Task", "assistant", "system", "user"]
