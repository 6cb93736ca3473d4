import unittest
from random import Random

from tasks import HYBRID_TASKS, TASKS, call_text
from tasks.tools import calls_in


class TasksTest(unittest.TestCase):
    def test_every_task_accepts_its_own_answer(self):
        for name, task in HYBRID_TASKS.items():
            rng = Random(name)
            for _ in range(200):
                case = task.draw(rng, rng.random(), held_out=False)
                self.assertTrue(case.is_correct(case.answer), f"{name}: {case}")

    def test_every_task_refuses_another_answer(self):
        for name, task in HYBRID_TASKS.items():
            case = task.draw(Random(name), 1.0, held_out=False)
            self.assertFalse(case.is_correct("Something else, 12345."), name)

    def test_conversations_alternate_and_end_with_what_to_reply_to(self):
        for name, task in HYBRID_TASKS.items():
            rng = Random(name)
            for _ in range(50):
                roles = [message["role"] for message in task.draw(rng, 1.0, held_out=False).messages]
                turns = ["user" if role == "tool" else role for role in roles if role != "system"]
                expected = ["user", "assistant"] * len(turns)
                self.assertEqual(turns, expected[: len(turns)], name)
                self.assertEqual(turns[-1], "user", name)

    def test_trained_and_held_out_cases_are_apart(self):
        for name, task in HYBRID_TASKS.items():
            rng = Random(name)
            for held_out in (False, True):
                for _ in range(50):
                    case = task.draw(rng, 1.0, held_out)
                    if case.identity is not None:
                        self.assertEqual(task.holds_out(case), held_out)

    def test_equal_seeds_give_equal_cases(self):
        for name, task in HYBRID_TASKS.items():
            first, second = (task.draw(Random(7), 1.0, held_out=True) for _ in range(2))
            self.assertEqual((first.messages, first.answer), (second.messages, second.answer), name)

    def test_a_sum_and_its_swap_are_one_case(self):
        task = TASKS["sum_two_digits"]
        rng = Random(1)
        answers = {task.draw(rng, 1.0, held_out=False).answer for _ in range(20000)}
        held_out = {task.draw(rng, 1.0, held_out=True).answer for _ in range(2000)}
        for answer in held_out:
            a, b = answer.split(" = ")[0].split(" + ")
            self.assertNotIn(f"{b} + {a} = {int(a) + int(b)}", answers)

    def test_every_task_has_thoughts(self):
        for name, task in HYBRID_TASKS.items():
            self.assertTrue(task.draw(Random(name), 1.0, held_out=False).reasoning, name)

    def test_both_steps_are_thought_about(self):
        case = HYBRID_TASKS["two_steps"].draw(Random(1), 1.0, held_out=False)
        first, second = case.reasoning.split("\n")
        self.assertTrue(second.startswith(first.split(" = ")[1] + " "))
        self.assertEqual(second.split(" = ")[1], case.answer.split(" = ")[1])

    def test_a_call_names_a_tool_of_the_prompt_and_its_parameters(self):
        rng = Random(4)
        for _ in range(200):
            case = HYBRID_TASKS["tool_call"].draw(rng, 1.0, held_out=False)
            (call,) = calls_in(case.answer)
            functions = {tool["function"]["name"]: tool["function"] for tool in case.tools}
            properties = functions[call["name"]]["parameters"]["properties"]
            self.assertEqual(list(call["arguments"]), list(properties))
            for name, value in call["arguments"].items():
                self.assertEqual(properties[name]["type"], "integer" if isinstance(value, int) else "string")

    def test_calls_count_only_where_nothing_else_is_said(self):
        call = call_text({"name": "clock", "arguments": "{}"})
        self.assertEqual(calls_in(f"\n{call}\n"), [{"name": "clock", "arguments": {}}])
        self.assertEqual(len(calls_in(f"{call}\n{call}")), 2)
        for reply in (f"Yes. {call}", "<tool_call>\nclock\n</tool_call>", "", "It is 9:30."):
            self.assertIsNone(calls_in(reply), reply)

    def test_the_last_number_of_a_wordy_reply_counts(self):
        case = TASKS["difference_one_digit"].draw(Random(3), 1.0, held_out=False)
        result = case.answer.split("= ")[1]
        self.assertTrue(case.is_correct(f"That is easy: {case.answer}"))
        self.assertTrue(case.is_correct(result))


if __name__ == "__main__":
    unittest.main()
