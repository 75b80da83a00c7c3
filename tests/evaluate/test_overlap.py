from __future__ import annotations

from molting.core.conversation import Conversation, Role, Source, Turn
from molting.core.persona import Fact
from molting.evaluate.overlap import train_eval_overlap
from molting.evaluate.probes import Probe

NOTHING = {"train_eval_exact": 0, "train_eval_near": 0, "probes_exact": 0, "probes_near": 0}


def row(*texts: str) -> Conversation:
    roles: tuple[Role, Role] = ("user", "assistant")
    turns = tuple(Turn(roles[i % 2], text) for i, text in enumerate(texts))
    return Conversation(turns, Source("a.jsonl", 1))


def probe(question: str) -> Probe:
    return Probe(question, Fact(ask=question, answer="x"))


def test_prompts_of_training_and_evaluation_that_differ_do_not_overlap() -> None:
    training = [row("How do I boil an egg?", "Six minutes.")]
    test = [row("Why is the sea salty?", "Six minutes.")]
    assert train_eval_overlap(training, test, [probe("Where do you live?")]) == NOTHING
    assert train_eval_overlap([], test, []) == NOTHING
    assert train_eval_overlap(training, [], []) == NOTHING


def test_an_equal_prompt_is_exact_and_one_with_a_word_changed_is_near() -> None:
    training = [
        row("How do I boil an egg so that the yolk stays runny?", "Six minutes."),
        row("Tell me about the storm.", "It was grey.", "Why is the sea so salty, old friend?", "Rivers."),
    ]  # fmt: skip
    test = [
        # Case and punctuation do not make it another question.
        row("how do I BOIL an egg, so that the yolk stays runny", "Aye."),
        row("How do I boil an egg so that the yolks stay runny?", "Aye."),
        # A later turn of a training row was trained on as well.
        row("Why is the sea so salty, old friend?", "Aye."),
        row("What is a fair price for a boat?", "Aye."),
    ]
    found = train_eval_overlap(training, test, [])
    assert found == NOTHING | {"train_eval_exact": 2, "train_eval_near": 1}


def test_probes_are_counted_apart_from_prompts() -> None:
    training = [row("Where do you live these days?", "Here."), row("What is your name?", "Skerry.")]
    asked = [probe("Where do you live, these days?"), probe("So what is your name?"), probe("Why?")]
    found = train_eval_overlap(training, [], asked)
    assert found == NOTHING | {"probes_exact": 1, "probes_near": 1}


def test_equal_questions_within_the_evaluation_are_no_overlap() -> None:
    test = [row("Why is the sea salty?", "A."), row("Why is the sea salty?", "B.")]
    assert train_eval_overlap([row("Other words here.", "C.")], test, []) == NOTHING
