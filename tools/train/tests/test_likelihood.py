import math
import unittest

from likelihood import AnswerScorer, Likelihood, together
from tasks import Case, assistant, system, user


class LetterServer:
    """Stands in for HttpModel: a letter is a token, and token n has the log-probability -n / 1000."""

    name = "letters"
    end_of_reply = "#"

    def ask(self, path: str, body: dict | None = None) -> dict:
        if path == "/tokenizer_info":
            return {"sep_token": self.end_of_reply}
        if path == "/tokenize":
            texts = [body["prompt"]] if "prompt" in body else [m["content"] for m in body["messages"]]
            return {"tokens": [ord(letter) for letter in "".join(texts)]}
        self.scored = body
        return {"choices": [{"logprobs": {"token_logprobs": [None, *(-i / 1000 for i in body["prompt"][1:])]}}]}


class LikelihoodTest(unittest.TestCase):
    def test_only_the_answer_and_its_end_are_counted(self):
        likelihood = AnswerScorer(LetterServer()).likelihood(Case([user("What?")], "ab"))
        self.assertEqual(likelihood.tokens, 3)
        self.assertAlmostEqual(likelihood.log_probability, -(ord("a") + ord("b") + ord("#")) / 1000)

    def test_the_whole_conversation_is_scored_and_nothing_generated(self):
        server = LetterServer()
        AnswerScorer(server).likelihood(Case([system("s"), user("u"), assistant("v"), user("w")], "ab"))
        self.assertEqual(server.scored["prompt"], [ord(letter) for letter in "suvwab#"])
        self.assertEqual(server.scored["max_tokens"], 0)

    def test_an_even_choice_among_four_has_perplexity_four(self):
        self.assertAlmostEqual(Likelihood(5 * math.log(1 / 4), 5).perplexity, 4)

    def test_a_certain_answer_has_perplexity_one(self):
        self.assertEqual(Likelihood(0.0, 7).perplexity, 1)

    def test_every_token_counts_the_same(self):
        self.assertEqual(together([Likelihood(-1.0, 1), Likelihood(-2.0, 9)]).loss, 0.3)


if __name__ == "__main__":
    unittest.main()
