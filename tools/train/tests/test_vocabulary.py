import json
import tempfile
import unittest
from functools import partial
from pathlib import Path
from random import Random

from jinja2.sandbox import ImmutableSandboxedEnvironment

from curriculum import MOE_CURRICULUM, TINY_CURRICULUM, corpus
from export import HERE
from marks import BEGIN_OF_SENTENCE, END_OF_SENTENCE, REPLY_MARKS
from transcript import every_reply, last_reply_only
from vocabulary import DIGITS, Tokenizer, train_vocabulary

SIZE = 900
MARKS = {"cls_token": BEGIN_OF_SENTENCE, "sep_token": END_OF_SENTENCE}
CURRICULA = [
    (TINY_CURRICULUM, ["recall", "copy", "owner", "small_talk", "earlier_turn"]),
    (MOE_CURRICULUM, ["recall", "two_steps", "tool_call", "tool_answer", "no_tool_needed"]),
]


def template(curriculum):
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    # As transformers has it: nothing is escaped, keys keep their order.
    environment.filters["tojson"] = partial(json.dumps, ensure_ascii=False)
    return environment.from_string((HERE / curriculum.layout.template).read_text())


def conversations(curriculum, names, seed, count):
    rng = Random(seed)
    for _ in range(count):
        yield curriculum.conversation(rng, rng.choice(names), 0.3)


class VocabularyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tokenizer = Tokenizer(train_vocabulary(corpus(TINY_CURRICULUM, 1, 2000), SIZE))

    def test_ids_of_digits_and_marks(self):
        self.assertEqual([self.tokenizer.added[d] for d in DIGITS], list(range(3, 13)))
        self.assertEqual(self.tokenizer.added[END_OF_SENTENCE], SIZE - 2)
        self.assertEqual(self.tokenizer.added[BEGIN_OF_SENTENCE], SIZE - 1)
        self.assertEqual(self.tokenizer.size, SIZE)

    def test_any_text_survives(self):
        for text in ["12 + 7 = 19", " two  spaces ", "line\nbreak", "中文 and 😀", "~`{|}\\", "\ttab"]:
            self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)

    def test_marks_of_replies_come_last_and_change_no_other_id(self):
        extended = self.tokenizer.with_reply_marks()
        self.assertEqual([extended.added[mark] for mark in REPLY_MARKS], list(range(SIZE, SIZE + len(REPLY_MARKS))))
        for text in ["12 + 7 = 19", "<|begin_of_sentence|>User: Hi\n", "a < b > c"]:
            self.assertEqual(extended.encode(text), self.tokenizer.encode(text))
        self.assertEqual(extended.encode("<think>\n")[0], SIZE)
        self.assertNotIn("<think>", self.tokenizer.added)

    def test_template_and_layout_agree(self):
        for curriculum, names in CURRICULA:
            chat = template(curriculum)
            for conversation in conversations(curriculum, names, 2, 200):
                *history, _ = conversation.messages
                rendered = chat.render(
                    messages=history, tools=conversation.tools, enable_thinking=conversation.thinking, **MARKS
                )
                written = curriculum.layout.prompt_text(history, conversation.tools, conversation.thinking)
                self.assertEqual(rendered, written)
                ids = last_reply_only(self.tokenizer, curriculum.layout, conversation).ids
                self.assertEqual(ids[: len(self.tokenizer.encode(rendered))], self.tokenizer.encode(rendered))

    def test_past_thoughts_and_calls_of_both_forms_are_rendered_alike(self):
        function = {"name": "clock", "arguments": '{"city": "Rom"}'}
        parsed = {"name": "clock", "arguments": {"city": "Rom"}}
        renderings = set()
        for form in (function, parsed):
            past = {"role": "assistant", "content": None, "tool_calls": [{"function": form}, {"function": form}]}
            messages = [{"role": "user", "content": "a"}, past | {"reasoning_content": "\nb\n"}]
            renderings.add(template(MOE_CURRICULUM).render(messages=messages, **MARKS))
        messages[-1]["tool_calls"] = [{"function": function}] * 2
        self.assertEqual(renderings, {MOE_CURRICULUM.layout.prompt_text(messages)})

    def test_both_transcripts_spell_the_same_text(self):
        for curriculum, names in CURRICULA:
            for conversation in conversations(curriculum, names, 3, 100):
                transcripts = (last_reply_only, every_reply)
                forms = [form(self.tokenizer, curriculum.layout, conversation) for form in transcripts]
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
