import unittest
from random import Random

from tasks import TASKS


class TasksTest(unittest.TestCase):
    def test_every_task_accepts_its_own_answer(self):
        for name, task in TASKS.items():
            rng = Random(name)
            for _ in range(200):
                case = task.draw(rng, rng.random(), held_out=False)
                self.assertTrue(case.is_correct(case.answer), f"{name}: {case}")

    def test_every_task_refuses_another_answer(self):
        for name, task in TASKS.items():
            case = task.draw(Random(name), 1.0, held_out=False)
            self.assertFalse(case.is_correct("Something else, 12345."), name)

    def test_conversations_alternate_and_end_with_the_user(self):
        for name, task in TASKS.items():
            rng = Random(name)
            for _ in range(50):
                roles = [message["role"] for message in task.draw(rng, 1.0, held_out=False).messages]
                turns = [role for role in roles if role != "system"]
                expected = ["user", "assistant"] * len(turns)
                self.assertEqual(turns, expected[: len(turns)], name)
                self.assertEqual(turns[-1], "user", name)

    def test_trained_and_held_out_cases_are_apart(self):
        for name, task in TASKS.items():
            rng = Random(name)
            for held_out in (False, True):
                for _ in range(50):
                    case = task.draw(rng, 1.0, held_out)
                    if case.identity is not None:
                        self.assertEqual(task.holds_out(case), held_out)

    def test_equal_seeds_give_equal_cases(self):
        for name, task in TASKS.items():
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

    def test_the_last_number_of_a_wordy_reply_counts(self):
        case = TASKS["difference_one_digit"].draw(Random(3), 1.0, held_out=False)
        result = case.answer.split("= ")[1]
        self.assertTrue(case.is_correct(f"That is easy: {case.answer}"))
        self.assertTrue(case.is_correct(result))


if __name__ == "__main__":
    unittest.main()
