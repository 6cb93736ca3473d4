"""How a conversation is written as one text: in Python what the chat templates say in Jinja.

`python -m unittest` in this folder compares the two. Nothing here needs more than the standard library.
"""

import json
from collections.abc import Sequence

from marks import BEGIN_OF_SENTENCE, END_OF_SENTENCE, END_OF_THINK, THINK
from tasks import Message, Tool, call_text

NAME = "Assistant: "


class PlainLayout:
    """Roles and nothing else, as ERNIE-4.5's text models have it."""

    template = "chat_template.jinja"
    modes = (False,)  # of thinking

    def prompt_text(self, messages: list[Message], tools: Sequence[Tool] = (), thinking: bool = False) -> str:
        turns = "".join(self.turn_text(message) for message in messages)
        return BEGIN_OF_SENTENCE + self.tool_list(tools) + turns + self.opening(thinking)

    def tool_list(self, tools: Sequence[Tool]) -> str:
        if tools:
            raise ValueError("this layout has no place for tools")
        return ""

    def opening(self, thinking: bool) -> str:
        """What the prompt ends with and the model goes on from."""
        if thinking:
            raise ValueError("this layout has no place for thoughts")
        return NAME

    def reply_text(self, message: Message, thinking: bool) -> str:
        """What the model writes after that."""
        return message["content"] + END_OF_SENTENCE

    def turn_text(self, message: Message) -> str:
        if message["role"] == "system":
            return message["content"] + "\n"
        if message["role"] == "user":
            return f"User: {message['content']}\n"
        return NAME + self.past_reply_text(message)

    def past_reply_text(self, message: Message) -> str:
        return message["content"] + END_OF_SENTENCE

    def answer_in(self, reply: str, thinking: bool) -> str:
        return reply


class HybridLayout(PlainLayout):
    """Thinks if asked to, as ERNIE-4.5-VL does, and calls tools."""

    template = "chat_template_hybrid.jinja"
    modes = (False, True)

    def tool_list(self, tools: Sequence[Tool]) -> str:
        if not tools:
            return ""
        return "You can call these tools:\n" + "".join(
            json.dumps(tool["function"], ensure_ascii=False) + "\n" for tool in tools
        )

    def opening(self, thinking: bool) -> str:
        return NAME + (THINK if thinking else f"{THINK}\n\n{END_OF_THINK}\n\n")

    def reply_text(self, message: Message, thinking: bool) -> str:
        thoughts = f"\n{message['reasoning_content']}\n{END_OF_THINK}\n" if thinking else ""
        return thoughts + said_or_called(message) + END_OF_SENTENCE

    def turn_text(self, message: Message) -> str:
        if message["role"] == "tool":
            return f"Tool: {message['content']}\n"
        return super().turn_text(message)

    def past_reply_text(self, message: Message) -> str:
        reasoning = message.get("reasoning_content", "").strip("\n")
        thoughts = f"{THINK}\n{reasoning}\n{END_OF_THINK}\n" if reasoning else ""
        return thoughts + said_or_called(message) + END_OF_SENTENCE

    def answer_in(self, reply: str, thinking: bool) -> str:
        """What follows the thoughts; nothing if they did not end."""
        return reply.partition(END_OF_THINK)[2] if thinking else reply


def said_or_called(message: Message) -> str:
    calls = [call_text(call["function"]) for call in message.get("tool_calls", [])]
    return (message["content"] or "") + "\n".join(calls)
