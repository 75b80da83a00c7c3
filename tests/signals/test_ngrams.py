"""Counts are scikit-learn's own, however often and in which company texts were read before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from molting.signals import ngrams
from molting.signals.ngrams import CHARACTERS, WORD_PAIRS, WORDS, Ngrams

TEXT = st.text(alphabet="ab c'é.!\n", max_size=30)


@pytest.mark.parametrize("way", [CHARACTERS, WORDS, WORD_PAIRS])
@pytest.mark.parametrize("least", [1, 2])
@given(learned=st.lists(TEXT, min_size=1, max_size=8), asked=st.lists(TEXT, max_size=8))
@settings(max_examples=40, deadline=None)
def test_counts_are_those_of_scikit_learn(way, least, learned, asked):
    theirs = CountVectorizer(**way, min_df=min(least, len(learned)))
    ours = Ngrams(way, least=least)
    try:
        expected = theirs.fit_transform(learned)
    except ValueError:
        with pytest.raises(ValueError, match="no n-gram"):
            ours.fit(learned)
        return
    if least > len(learned):
        return
    found = ours.fit_transform(learned)
    assert ours.vocabulary_ == theirs.vocabulary_
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
    np.testing.assert_array_equal(ours.transform(learned).toarray(), expected.toarray())
    if asked:
        np.testing.assert_array_equal(
            ours.transform(asked).toarray(), theirs.transform(asked).toarray()
        )


def test_what_was_learned_outlives_what_is_forgotten(monkeypatch):
    ours = Ngrams(WORDS).fit(["a quiet harbour", "a loud harbour"])
    monkeypatch.setattr(ngrams, "_MOST_KEPT", 0)
    Ngrams(WORDS).fit(["something else entirely", "and more of it"])
    found = ours.transform(["harbour, harbour!", "nothing of it"])
    names = sorted(ours.vocabulary_)
    assert found.toarray()[0, names.index("harbour")] == 2
    assert found.sum() == 2


def test_many_texts_are_read_in_parts_with_the_same_result(monkeypatch):
    texts = [f"row {i} of the log" for i in range(23)]
    ours = Ngrams(WORD_PAIRS).fit(texts)
    whole = ours.transform(texts).toarray()
    monkeypatch.setattr(ngrams, "_AT_ONCE", 4)
    np.testing.assert_array_equal(ours.transform(texts).toarray(), whole)
    assert ours.transform([]).shape == (0, whole.shape[1])


def test_a_text_is_taken_apart_once():
    text = "only this test says exactly this about the lamp"
    Ngrams(WORDS).fit([text])
    known = ngrams._known(WORDS)
    kept, row = known.kept, known.rows[text]
    Ngrams(WORDS, least=1).fit([text, text])
    assert known.kept == kept
    assert known.rows[text] is row
