import json
import tempfile
import unittest
from pathlib import Path

from answering import HYBRID, PLAIN, HttpHybridModel, HttpModel, kind_of
from tasks import Case, user

CASE = Case([user("What?")], "That.", tools=[{"type": "function", "function": {"name": "clock"}}])


class AnsweringTest(unittest.TestCase):
    def sent(self, kind: type[HttpModel], case: Case, thinking: bool) -> tuple[str, dict]:
        """The request that `kind` makes of a case."""
        requests = []

        class Recorder(kind):
            def ask(self, path: str, body: dict | None = None) -> dict:
                requests.append((path, body))
                return {"choices": [{"text": "", "message": {"content": ""}}]}

        Recorder("http://host", "name").reply(case, thinking)
        return requests[0]

    def test_a_plain_model_is_asked_through_chat(self):
        path, body = self.sent(HttpModel, Case([user("What?")], "That."), thinking=False)
        self.assertEqual((path, body["messages"]), ("/v1/chat/completions", [user("What?")]))

    def test_a_hybrid_model_is_shown_tools_and_its_marks_are_kept(self):
        for thinking, ending in ((True, "<think>"), (False, "<think>\n\n</think>\n\n")):
            path, body = self.sent(HttpHybridModel, CASE, thinking)
            self.assertEqual(path, "/v1/completions")
            self.assertIn('{"name": "clock"}\nUser: What?\n', body["prompt"])
            self.assertTrue(body["prompt"].endswith("Assistant: " + ending))
            self.assertFalse(body["skip_special_tokens"])

    def test_only_what_follows_the_thoughts_is_an_answer(self):
        self.assertEqual(HYBRID.layout.answer_in("\nHm.\n</think>\nThat.", thinking=True), "\nThat.")
        self.assertEqual(HYBRID.layout.answer_in("\nThat.", thinking=True), "")
        self.assertEqual(HYBRID.layout.answer_in("That.", thinking=False), "That.")

    def test_a_model_that_knows_the_marks_is_hybrid(self):
        for tokens, kind in (({"<think>": 7}, HYBRID), ({"<s>": 1}, PLAIN)):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "added_tokens.json").write_text(json.dumps(tokens))
                self.assertIs(kind_of(Path(folder)), kind)


if __name__ == "__main__":
    unittest.main()
