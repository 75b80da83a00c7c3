from __future__ import annotations

import numpy as np
import pytest

from molting.signals.vectors import DIMENSIONS, cluster, text_vectors, topic_words

SEA = [
    f"The {w} rides the tide past the harbour wall."
    for w in ["boat", "gull", "seal", "buoy", "kelp"]
]
OVEN = [
    f"Knead the {w} dough and bake it in the oven." for w in ["rye", "oat", "rice", "corn", "bean"]
]


def test_products_are_cosines_for_few_texts() -> None:
    found = text_vectors([*SEA, *OVEN], 0)
    assert np.allclose(
        found.vectors @ found.vectors.T, (found.tfidf @ found.tfidf.T).toarray(), atol=1e-5
    )
    likeness = found.vectors @ found.vectors.T
    assert np.allclose(np.diag(likeness), 1, atol=1e-5)
    assert likeness[0, 1] > 0.3 > likeness[0, 5] + 0.2


def test_many_texts_keep_their_scale_in_fewer_dimensions() -> None:
    draw = np.random.default_rng(0)
    words = [f"word{i}" for i in range(400)]
    texts = [
        " ".join(draw.choice(words[30 * (i % 12) : 30 * (i % 12) + 60], 12)) for i in range(600)
    ]
    found = text_vectors(texts, 0)
    assert found.vectors.shape == (600, DIMENSIONS)
    assert (np.linalg.norm(found.vectors, axis=1) <= 1 + 1e-4).all()
    exact = (found.tfidf @ found.tfidf.T).toarray()
    close = found.vectors @ found.vectors.T
    pairs = np.triu_indices(600, 1)
    assert np.corrcoef(exact[pairs], close[pairs])[0, 1] > 0.8
    assert np.array_equal(found.vectors, text_vectors(texts, 0).vectors)


@pytest.mark.parametrize(
    "texts", [[""], ["!!", "??"], ["the", "of the"], ["水を飲む", "水を買う", "犬"]]
)
def test_texts_without_words_have_vectors_all_the_same(texts: list[str]) -> None:
    found = text_vectors(texts, 0)
    assert len(found.vectors) == len(texts)
    assert np.isfinite(found.vectors).all()


def test_a_script_without_spaces_is_read_by_characters() -> None:
    found = text_vectors(["水を飲むのが好きです", "水を飲むのは嫌いです", "犬が庭で吠えている"], 0)
    likeness = found.vectors @ found.vectors.T
    assert likeness[0, 1] > likeness[0, 2]


def test_topics_are_numbered_by_size_and_named_by_their_words() -> None:
    texts = [*SEA[:2], *OVEN, *SEA[2:3]]
    found = text_vectors(texts, 0)
    topics = cluster(found.vectors, 2, 0)
    assert topics.tolist() == [1, 1, 0, 0, 0, 0, 0, 1]
    names = topic_words(found.tfidf, found.terms, topics)
    assert {"dough", "oven", "bake", "knead"} & set(names[0].split(", "))
    assert {"tide", "harbour", "wall", "rides", "past"} & set(names[1].split(", "))
    assert cluster(found.vectors, 1, 0).tolist() == [0] * len(texts)
    assert len(set(cluster(found.vectors, 99, 0).tolist())) <= len(texts)
    assert cluster(found.vectors[:0], 5, 0).tolist() == []
