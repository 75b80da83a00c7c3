from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.language import UNKNOWN, detect_language, same_language

SENTENCES = {
    "en": "The tide was out and we walked along the beach to the old bar.",
    "de": "Die Flut war draußen, und wir gingen am Strand entlang zur alten Kneipe.",
    "fr": "La mer était basse et nous avons marché sur la plage jusqu'au vieux bar.",
    "es": "La marea estaba baja y caminamos por la playa hasta el viejo bar.",
    "it": "La marea era bassa e abbiamo camminato lungo la spiaggia fino al vecchio bar.",
    "pt": "A maré estava baixa e nós caminhamos pela praia até o velho bar da esquina.",
    "nl": "Het was eb en we liepen langs het strand naar de oude kroeg.",
    "pl": "Był odpływ i szliśmy plażą do starego baru przy porcie.",
    "ru": "Был отлив, и мы шли по пляжу к старому бару у гавани.",
    "uk": "Був відлив, і ми йшли пляжем до старого бару біля гавані.",
    "tr": "Deniz çekilmişti ve biz sahil boyunca eski bara kadar yürüdük.",
    "ar": "كان البحر هادئًا ومشينا على الشاطئ حتى المقهى القديم",
    "hi": "समुद्र शांत था और हम किनारे पर चलते हुए पुराने ढाबे तक गए।",
    "ja": "潮が引いていたので、私たちは浜辺を歩いて古い酒場まで行きました。",
    "zh": "潮水退了，我们沿着海滩走到那家老酒馆。",
    "ko": "썰물이라 우리는 해변을 따라 오래된 술집까지 걸어갔다.",
    "th": "น้ำลงแล้วเราจึงเดินไปตามชายหาดจนถึงร้านเก่า",
    "el": "Η θάλασσα ήταν ήρεμη και περπατήσαμε μέχρι το παλιό μπαρ.",
    "he": "הים היה שקט והלכנו לאורך החוף עד לבר הישן.",
    "fi": "Meri oli tyyni, ja kävelimme rantaa pitkin vanhaan baariin.",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_in_its_language(code: str) -> None:
    found = detect_language(SENTENCES[code])
    assert found.code == code
    assert found.confidence is not None
    assert found.confidence >= 0.5


@pytest.mark.parametrize("text", ["", "...", "12345 !!", "ok", "Aye.", "haha", "🦀🦀🦀"])
def test_what_is_too_short_to_tell_is_unknown(text: str) -> None:
    assert detect_language(text).code == UNKNOWN


def test_a_script_of_one_language_is_told_from_two_letters() -> None:
    assert detect_language("はい").code == "ja"
    assert detect_language("네, 그래요").code == "ko"
    assert detect_language("ครับ").code == "th"


def test_links_code_and_placeholders_are_not_language() -> None:
    text = "https://example.com/die/flut/war/draussen `der_code_ist_hier` [email] [phone 2]"
    assert detect_language(text).code == UNKNOWN
    assert detect_language(f"{SENTENCES['en']} {text}").code == "en"


def test_near_relatives_are_one_language() -> None:
    assert same_language("hr", "sr")
    assert same_language("id", "ms")
    assert not same_language("hr", "sl")
    found = detect_language("Bila je oseka i išli smo plažom do starog bara pored luke.")
    assert same_language(found.code, "hr")


def test_a_foreign_word_does_not_decide() -> None:
    assert (
        detect_language("She said that 猫 is the word for a cat, and wrote it down.").code == "en"
    )


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gets_an_answer(text: str) -> None:
    found = detect_language(text)
    assert found.code
    assert found.confidence is None or 0 <= found.confidence <= 1
