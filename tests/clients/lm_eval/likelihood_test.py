"""lm-eval's `local-completions`, unmodified, against erne: its likelihoods have to be numpy's.

Nothing is fetched: the data is beside this file, the tokenizer is erne's /tokenize. Run by CTest with
build/clients-venv (see ../setup).
"""
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRATCH = tempfile.TemporaryDirectory()
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HOME=SCRATCH.name,
                  HF_DATASETS_DISABLE_PROGRESS_BARS="1", TQDM_DISABLE="1", LMEVAL_LOG_LEVEL="ERROR")
os.chdir(HERE)  # the task files name their data relative to it
sys.path.append(str(HERE.parent))

import lm_eval
from lm_eval.tasks import TaskManager

from erne_process import MODEL, ErneProcess
from reference import Likelihood, Reference

TOLERANCE = 1e-3  # of the log of a probability


def evaluated(erne: ErneProcess, **model_args) -> dict[str, list[dict]]:
    """task -> samples, as lm-eval logs them."""
    arguments = {"model": "erne-tiny", "base_url": f"{erne.url}/v1/completions", **model_args}
    results = lm_eval.simple_evaluate(
        model="local-completions",
        model_args=arguments,
        tasks=["erne_choices", "erne_story"],
        task_manager=TaskManager(include_path=str(HERE), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )
    return results["samples"]


class Comparison:
    def __init__(self):
        self.num_checked = self.num_greedy = self.num_wrong = 0
        self.largest_difference = 0.0

    def check(self, what: str, expected: Likelihood, found: float, found_greedy: bool | None) -> None:
        difference = abs(found - expected.log_probability)
        wrong = not difference <= TOLERANCE
        if found_greedy is not None:
            assert abs(expected.worst_margin) > 1e-3, f"{what}: greedy or not hangs on a hair: choose another case"
            wrong |= found_greedy != expected.is_greedy
        self.num_checked += 1
        self.num_greedy += expected.is_greedy
        self.num_wrong += wrong
        self.largest_difference = max(self.largest_difference, difference)
        if wrong:
            print(f"WRONG {what}: expected {expected}, found {found}, greedy: {found_greedy}")

    @property
    def passed(self) -> bool:
        """And both kinds were there."""
        return self.num_wrong == 0 and 0 < self.num_greedy < self.num_checked


def compare(samples: dict[str, list[dict]], reference: Reference) -> Comparison:
    comparison = Comparison()
    for sample in samples["erne_choices"]:
        doc = sample["doc"]
        for choice, ((found, is_greedy),) in zip(doc["choices"], sample["resps"], strict=True):
            expected = reference.likelihood_after(doc["question"], choice)
            comparison.check(f"{doc['question']!r} {choice!r}", expected, found, is_greedy)
    for sample in samples["erne_story"]:
        text = sample["doc"]["text"]
        ((found,),) = sample["resps"]
        comparison.check(repr(text), reference.likelihood_after("", text), found, None)
    return comparison


def main() -> None:
    reference = Reference(MODEL)
    failed = False
    with ErneProcess("--dtype", "float32") as erne:
        for model_args in ({"batch_size": 4}, {"num_concurrent": 4, "tokenized_requests": False}):
            result = compare(evaluated(erne, **model_args), reference)
            print(f"{model_args}: {result.num_checked} likelihoods, {result.num_greedy} of them greedy, "
                  f"{result.num_wrong} wrong; largest difference {result.largest_difference:.1e}, allowed {TOLERANCE}")
            failed |= not result.passed
    sys.exit(failed)


main()
