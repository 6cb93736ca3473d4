import json
import tempfile
import unittest
from pathlib import Path
from random import Random

from jinja2.sandbox import ImmutableSandboxedEnvironment

from curriculum import conversation, corpus
from export import HERE
from transcript import every_reply, last_reply_only, prompt_text
from vocabulary import BEGIN_OF_SENTENCE, DIGITS, END_OF_SENTENCE, Tokenizer, train_vocabulary

SIZE = 900


class VocabularyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tokenizer = Tokenizer(train_vocabulary(corpus(1, 2000), SIZE))

    def test_ids_of_digits_and_marks(self):
        self.assertEqual([self.tokenizer.added[d] for d in DIGITS], list(range(3, 13)))
        self.assertEqual(self.tokenizer.added[END_OF_SENTENCE], SIZE - 2)
        self.assertEqual(self.tokenizer.added[BEGIN_OF_SENTENCE], SIZE - 1)
        self.assertEqual(self.tokenizer.size, SIZE)

    def test_any_text_survives(self):
        for text in ["12 + 7 = 19", " two  spaces ", "line\nbreak", "中文 and 😀", "~`{|}\\", "\ttab"]:
            self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)

    def test_template_and_transcript_agree(self):
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string((HERE / "chat_template.jinja").read_text())
        marks = {"cls_token": BEGIN_OF_SENTENCE, "sep_token": END_OF_SENTENCE}
        rng = Random(2)
        for _ in range(100):
            *history, reply = conversation(rng, rng.choice(["recall", "copy", "earlier_turn"]), 0.3)
            rendered = template.render(messages=history, **marks)
            self.assertEqual(rendered, prompt_text(history))
            ids = last_reply_only(self.tokenizer, [*history, reply]).ids
            self.assertEqual(ids[: len(self.tokenizer.encode(rendered))], self.tokenizer.encode(rendered))

    def test_both_transcripts_spell_the_same_text(self):
        rng = Random(3)
        for _ in range(100):
            turns = conversation(rng, rng.choice(["recall", "owner", "small_talk"]), 0.3)
            forms = [form(self.tokenizer, turns) for form in (last_reply_only, every_reply)]
            self.assertEqual(*(self.tokenizer.decode(form.ids) for form in forms))
            self.assertTrue(all(len(form.ids) == len(form.trained) for form in forms))

    def test_saved_files_name_the_same_ids(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            self.tokenizer.save(path, "template", 2048)
            added = json.loads((path / "added_tokens.json").read_text())
            config = json.loads((path / "tokenizer_config.json").read_text())
        listed = {entry["content"]: int(i) for i, entry in config["added_tokens_decoder"].items()}
        self.assertEqual(added, listed)
        self.assertFalse(config["added_tokens_decoder"]["3"]["special"])


if __name__ == "__main__":
    unittest.main()
