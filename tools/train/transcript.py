"""Conversations and plain texts as token ids, with the tokens to train on marked.

The layout is that of chat_template.jinja; `python -m unittest` in this folder compares the two.
"""

from dataclasses import dataclass, field

from tasks import Message
from vocabulary import BEGIN_OF_SENTENCE, END_OF_SENTENCE, END_OF_TEXT, Tokenizer

GENERATION_PROMPT = "Assistant: "


@dataclass
class Transcript:
    ids: list[int] = field(default_factory=list)
    trained: list[bool] = field(default_factory=list)

    def add(self, ids: list[int], trained: bool) -> None:
        self.ids += ids
        self.trained += [trained] * len(ids)


def turn_text(message: Message) -> str:
    if message["role"] == "system":
        return message["content"] + "\n"
    if message["role"] == "user":
        return f"User: {message['content']}\n"
    return GENERATION_PROMPT + message["content"] + END_OF_SENTENCE


def prompt_text(messages: list[Message]) -> str:
    return BEGIN_OF_SENTENCE + "".join(map(turn_text, messages)) + GENERATION_PROMPT


def last_reply_only(tokenizer: Tokenizer, conversation: list[Message]) -> Transcript:
    """Earlier turns exactly as a server encodes history; only the last reply is trained on."""
    *history, reply = conversation
    transcript = Transcript()
    transcript.add(tokenizer.encode(prompt_text(history)), False)
    transcript.add(tokenizer.encode(reply["content"] + END_OF_SENTENCE), True)
    return transcript


def every_reply(tokenizer: Tokenizer, conversation: list[Message]) -> Transcript:
    """All replies are trained on, each encoded as if it had just been generated.

    The ids can differ from `last_reply_only` at the first word of a reply, whose space belongs to the
    generation prompt here and to the word there; a model has to know both forms.
    """
    transcript = Transcript()
    pending = BEGIN_OF_SENTENCE
    for message in conversation:
        if message["role"] == "assistant":
            transcript.add(tokenizer.encode(pending + GENERATION_PROMPT), False)
            transcript.add(tokenizer.encode(message["content"] + END_OF_SENTENCE), True)
            pending = ""
        else:
            pending += turn_text(message)
    return transcript


def plain_text(tokenizer: Tokenizer, segments: list[tuple[str, bool]]) -> Transcript:
    transcript = Transcript()
    for text, trained in segments:
        transcript.add(tokenizer.encode(text), trained)
    transcript.add(tokenizer.encode(END_OF_TEXT), True)
    return transcript
