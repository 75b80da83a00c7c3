from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from molting.signals.stats import auc
from molting.signals.voice import (
    READ_WORDS,
    WINDOW_WORDS,
    Certificate,
    VoiceDetector,
    body_of,
    certify,
    fit_detector,
    windows,
)


def pool(text: str) -> list[str]:
    return text.split()


PIRATE = pool(
    "arr aye ye matey scurvy plunder grog doubloons timbers landlubber avast yer hearties "
    "rum cutlass kraken bilge booty"
)
CLERK = pool(
    "please form regarding invoice department hereby attached kindly quarterly pursuant "
    "ledger deadline approval submit office policy memo signed"
)
SHARED = pool("the a of to in and is with for on it that from by at")


def speak(
    own: list[str], count: int, seed: int, common: list[str] = SHARED, share: float = 0.5
) -> list[str]:
    """Made-up replies of 12 to 30 words: a share of the voice's own, the rest common ones."""
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(own if draw.random() < share else common) for _ in range(size)) + "."
        for size in (draw.randint(12, 30) for _ in range(count))
    ]


@pytest.fixture(scope="module")
def pirate() -> VoiceDetector:
    return fit_detector(speak(PIRATE, 60, 1), {"clerk": speak(CLERK, 60, 2)})


def test_two_obviously_different_voices_are_told_apart(pirate: VoiceDetector) -> None:
    certificate = certify(pirate, speak(PIRATE, 20, 3), {"clerk": speak(CLERK, 20, 4)})
    assert certificate.auc is not None
    assert certificate.auc > 0.98
    assert certificate.measurable


def test_a_voice_equal_to_the_others_is_not_measurable() -> None:
    detector = fit_detector(speak(CLERK, 60, 1), {"clerk": speak(CLERK, 60, 2)})
    certificate = certify(detector, speak(CLERK, 30, 3), {"clerk": speak(CLERK, 30, 4)})
    assert certificate.auc is not None
    assert 0.2 < certificate.auc < 0.8
    assert not certificate.measurable


def test_the_worst_kind_decides_whether_a_voice_can_be_measured(pirate: VoiceDetector) -> None:
    others = {"clerk": speak(CLERK, 20, 4), "twin": speak(PIRATE, 20, 5)}
    certificate = certify(pirate, speak(PIRATE, 20, 3), others)
    assert certificate.auc_by_kind["clerk"] > 0.98
    assert certificate.auc == certificate.auc_by_kind["twin"]
    assert not certificate.measurable


def test_too_few_texts_certify_nothing(pirate: VoiceDetector) -> None:
    few = certify(pirate, speak(PIRATE, 7, 3), {"clerk": speak(CLERK, 20, 4)})
    assert few.auc is None
    assert not few.measurable
    kinds = certify(pirate, speak(PIRATE, 20, 3), {"clerk": speak(CLERK, 7, 4)})
    assert kinds.auc_by_kind == {}
    assert kinds.auc is None
    assert certify(pirate, [], {"clerk": speak(CLERK, 20, 4)}).auc is None


def test_an_unknown_auc_is_not_taken_for_a_low_one() -> None:
    assert Certificate({"a": math.nan, "b": 0.95}, 20).auc == 0.95
    assert Certificate({"a": math.nan}, 20).auc is None


def test_a_stuck_on_greeting_moves_the_full_score_but_not_the_body() -> None:
    everyday = CLERK + SHARED

    def persona(count: int, seed: int) -> list[str]:
        return [f"Aye, mate. {text}" for text in speak(PIRATE, count, seed, everyday, share=0.2)]

    detector = fit_detector(persona(80, 1), {"clerk": speak(everyday, 80, 2)})
    plain = speak(everyday, 40, 3)
    attack = [f"Aye, mate. {text}" for text in plain]
    # The full window falls for it, at least by half …
    assert detector.score(plain).mean() < 0.12
    assert detector.score(attack).mean() > 0.18
    # … the body does not, and a persona that keeps its voice up still has a high one.
    assert detector.score(attack, body=True).mean() < 0.14
    assert detector.score(persona(40, 4), body=True).mean() > 0.6


def test_length_alone_tells_nothing() -> None:
    def long(count: int, seed: int) -> list[str]:
        parts = [speak(CLERK, count, seed + i) for i in range(3)]
        return [" ".join(texts) for texts in zip(*parts, strict=True)]

    # The same voice, only three times as long: trained on whole, short would pass for persona.
    detector = fit_detector(speak(CLERK, 60, 1), {"long": long(60, 10)})
    short, others = speak(CLERK, 40, 3), long(40, 30)
    assert 0.2 < auc(detector.score(short), detector.score(others)) < 0.8
    assert not certify(detector, short, {"long": others}).measurable


def test_windows_cover_the_text_and_half_of_each_overlaps() -> None:
    text = " ".join(str(i) for i in range(60))
    parts = windows(text)
    assert [len(part.split()) for part in parts] == [WINDOW_WORDS] * 4
    assert [part.split()[0] for part in parts] == ["0", "12", "24", "36"]
    assert parts[-1].split()[-1] == "59"
    assert windows("one two three") == ["one two three"]
    assert windows("  ") == []


def test_the_body_leaves_out_both_ends_of_a_long_text_and_the_start_of_a_short_one() -> None:
    long = " ".join(str(i) for i in range(40))
    assert body_of(long).split() == [str(i) for i in range(6, 34)]
    assert body_of("1 2 3 4 5 6 seven eight") == "seven eight"
    assert body_of("too short") == ""
    assert windows("too short", body=True) == []


def test_what_lies_beyond_a_hundred_words_is_not_read(pirate: VoiceDetector) -> None:
    start = " ".join((speak(CLERK, 5, 1)[0].split() * 20)[:READ_WORDS])
    plain, longer = pirate.score([start, f"{start} {' '.join(PIRATE)}"])
    assert plain == longer


def test_one_window_in_the_voice_does_not_make_a_body(pirate: VoiceDetector) -> None:
    clerk = " ".join(speak(CLERK, 4, 7))
    shout = " ".join(PIRATE[:10])
    plain, prefixed, suffixed = pirate.score(
        [clerk, f"{shout} {clerk}", f"{clerk} {shout}"], body=True
    )
    assert max(prefixed, suffixed) < plain + 0.15


def test_two_detectors_stand_behind_every_score(pirate: VoiceDetector) -> None:
    texts = [*speak(PIRATE, 3, 3), *speak(CLERK, 3, 4)]
    each = pirate.each(texts)
    assert each.shape == (2, 6)
    assert np.allclose(each.mean(0), pirate.score(texts))
    assert (each[:, :3] > 0.5).all()
    assert (each[:, 3:] < 0.5).all()


def test_words_that_nobody_says_are_no_voice(pirate: VoiceDetector) -> None:
    assert pirate.score(["zzxq wvvk qqj xxzt", "🏴 🦜 🏴", "日本語 の 文 です"]).max() < 0.35


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"auc_by_kind": {"base": 0.8}}, "AUC 0.80"),
        ({"persona_texts": 7}, "too few"),
        ({"calibration_error": 0.4}, "calibrated"),
        ({"gold": 0.4}, "one half"),
        ({"fakes": {"stuck_before": 0.7}}, "stuck on"),
    ],
)
def test_what_the_certificate_lacks_is_said(change: dict[str, Any], word: str) -> None:
    good = Certificate({"base": 0.95}, 20, 0.1, 1.05, {"stuck_before": 0.2})
    assert good.measurable
    bad = replace(good, **change)
    assert not bad.measurable
    assert len(bad.reasons) == 1
    assert word in bad.reasons[0]


def test_text_without_words_scores_0_and_order_is_kept(pirate: VoiceDetector) -> None:
    texts = ["", *speak(PIRATE, 2, 3), "  ", *speak(CLERK, 1, 4)]
    scores = pirate.score(texts)
    assert scores.shape == (5,)
    assert scores[0] == scores[3] == 0
    assert min(scores[1:3]) > 0.5 > scores[4] > 0
    assert np.array_equal(pirate.score(list(reversed(texts))), scores[::-1])
    assert pirate.score([]).shape == (0,)


def test_a_detector_is_pure_in_its_texts_and_seed() -> None:
    texts = speak(PIRATE, 10, 9)
    one, two = (
        fit_detector(speak(PIRATE, 20, 1), {"clerk": speak(CLERK, 20, 2)}, seed=5) for _ in "12"
    )
    assert np.array_equal(one.score(texts), two.score(texts))
