"""Conversations and plain texts as token ids, with the tokens to train on marked."""

from dataclasses import dataclass, field

from layout import NAME, PlainLayout
from marks import BEGIN_OF_SENTENCE, END_OF_TEXT
from tasks import Conversation
from vocabulary import Tokenizer


@dataclass
class Transcript:
    ids: list[int] = field(default_factory=list)
    trained: list[bool] = field(default_factory=list)

    def add(self, ids: list[int], trained: bool) -> None:
        self.ids += ids
        self.trained += [trained] * len(ids)


def last_reply_only(tokenizer: Tokenizer, layout: PlainLayout, conversation: Conversation) -> Transcript:
    """Earlier turns exactly as a server encodes history; only the last reply is trained on."""
    *history, reply = conversation.messages
    prompt = layout.prompt_text(history, conversation.tools, conversation.thinking)
    transcript = Transcript()
    transcript.add(tokenizer.encode(prompt), False)
    transcript.add(tokenizer.encode(layout.reply_text(reply, conversation.thinking)), True)
    return transcript


def every_reply(tokenizer: Tokenizer, layout: PlainLayout, conversation: Conversation) -> Transcript:
    """All replies are trained on, each encoded as if it had just been generated.

    The ids can differ from `last_reply_only` at the first word of an earlier reply, whose space belongs to
    the prompt here and to the word there; a model has to know both forms.
    """
    *history, reply = conversation.messages
    transcript = Transcript()
    pending = BEGIN_OF_SENTENCE + layout.tool_list(conversation.tools)
    for message in history:
        if message["role"] == "assistant":
            transcript.add(tokenizer.encode(pending + NAME), False)
            transcript.add(tokenizer.encode(layout.past_reply_text(message)), True)
            pending = ""
        else:
            pending += layout.turn_text(message)
    transcript.add(tokenizer.encode(pending + layout.opening(conversation.thinking)), False)
    transcript.add(tokenizer.encode(layout.reply_text(reply, conversation.thinking)), True)
    return transcript


def plain_text(tokenizer: Tokenizer, segments: list[tuple[str, bool]]) -> Transcript:
    transcript = Transcript()
    for text, trained in segments:
        transcript.add(tokenizer.encode(text), trained)
    transcript.add(tokenizer.encode(END_OF_TEXT), True)
    return transcript
