"""How likely a served model finds the expected answers, token by token (teacher forcing)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from answering import HttpModel
from tasks import Case, Message


@dataclass(frozen=True)
class Likelihood:
    """The log-probability of some answers' tokens, summed; natural logarithm."""

    log_probability: float
    tokens: int

    @property
    def loss(self) -> float:
        return -self.log_probability / self.tokens

    @property
    def perplexity(self) -> float:
        return math.exp(self.loss)


def together(parts: Iterable[Likelihood]) -> Likelihood:
    """Every token counts the same, so a long answer counts more than a short one."""
    parts = list(parts)
    return Likelihood(math.fsum(part.log_probability for part in parts), sum(part.tokens for part in parts))


class AnswerScorer:
    """Gives a server a case's prompt and its expected answer as one prompt, and reads the answer's share.

    The ids are those of transcript.last_reply_only: the answer is encoded apart from the prompt, as if just
    generated, and the mark that ends a reply is its last token.
    """

    def __init__(self, model: HttpModel):
        self.model = model
        self.end_of_reply = model.ask("/tokenizer_info")["sep_token"]

    def likelihood(self, case: Case) -> Likelihood:
        prompt = self.prompt_ids(case.messages)
        answer = self.answer_ids(case.answer)
        # The first token of all has no log-probability (null); it belongs to the prompt.
        of_answer = self.log_probabilities(prompt + answer)[len(prompt) :]
        return Likelihood(math.fsum(of_answer), len(of_answer))

    def prompt_ids(self, messages: list[Message]) -> list[int]:
        return self.model.ask("/tokenize", {"messages": messages})["tokens"]

    def answer_ids(self, answer: str) -> list[int]:
        return self.model.ask("/tokenize", {"prompt": answer + self.end_of_reply})["tokens"]

    def log_probabilities(self, ids: list[int]) -> list[float | None]:
        body = {"model": self.model.name, "prompt": ids, "max_tokens": 0, "echo": True, "logprobs": 0}
        return self.model.ask("/v1/completions", body)["choices"][0]["logprobs"]["token_logprobs"]
