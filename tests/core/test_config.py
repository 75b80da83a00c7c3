from __future__ import annotations

import textwrap
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import (
    Config,
    Train,
    config_keys,
    fingerprint,
    load_config,
    override,
    parse_config,
    read_text_input,
)
from molting.core.errors import ConfigError, InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "molting.toml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def message(raw: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_name_is_enough_and_everything_else_is_the_default(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[persona]\nname = "Hermit Jack"\n'))
    assert config.persona.name == "Hermit Jack"
    assert msgspec.structs.replace(config, persona=Config().persona) == Config()


def test_every_section_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
        [persona]
        name = "Jack"
        voice_never = ["as an AI"]
        facts = [{ask = "Where do you live?", answer = "in a shell", accept = ["shell"]}]
        [data]
        files = ["a.jsonl", "b.csv"]
        held_out = ["c.json"]
        [curate]
        target = 200
        [split]
        test_rows = 7
        [base]
        model = "fake"
        [train]
        rank = 8
        alpha = 16
        targets = ["q_proj"]
        [evaluate]
        temperature = 0
        """,
    )
    config = load_config(path)
    assert config.persona.facts[0].accept == ("shell",)
    assert config.data.files == ("a.jsonl", "b.csv")
    assert config.data.held_out == ("c.json",)
    assert (config.curate.target, config.split.test_rows, config.base.model) == (200, 7, "fake")
    assert (config.train.rank, config.train.alpha, config.train.targets) == (8, 16, ("q_proj",))
    assert config.evaluate.temperature == 0


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "molting.toml"
    path.write_bytes(b'\xef\xbb\xbf[persona]\nname = "Jack"\n')
    assert load_config(path).persona.name == "Jack"


@pytest.mark.parametrize(
    ("raw", "key", "suggestion"),
    [
        ({"train": {"learning_rat": 1e-4}}, "train.learning_rat", "`learning_rate`"),
        ({"trian": {"rank": 8}}, "trian", "`train`"),
        ({"persona": {"nmae": "x"}}, "persona.nmae", "`name`"),
        # The key of another section wins over a similar one in this.
        ({"train": {"prompts": 8}}, "train.prompts", "`evaluate.prompts`"),
        ({"rank": 8}, "rank", "`train.rank`"),
        ({"curate": {"held_out": []}}, "curate.held_out", "`data.held_out`"),
        (
            {"persona": {"facts": [{"ask": "a", "answer": "b"}, {"ask": "a", "anser": "b"}]}},
            "persona.facts[1].anser",
            "`answer`",
        ),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_right_one(
    raw: dict[str, object], key: str, suggestion: str
) -> None:
    text = message(raw)
    assert text.startswith(f"{key}: unknown key")
    assert f"did you mean {suggestion}?" in text


def test_an_unknown_key_like_no_other_gets_the_list_of_known_ones() -> None:
    text = message({"base": {"zzzz": 1}})
    assert "base.zzzz: unknown key" in text
    assert "known here: model, revision, dtype" in text


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"train": {"rank": "sixteen"}}, "train.rank"),
        ({"train": {"rank": 2.5}}, "train.rank"),
        ({"train": {"rank": True}}, "train.rank"),
        ({"train": {"rank": 0}}, "train.rank"),
        ({"train": {"dropout": 1.0}}, "train.dropout"),
        ({"train": {"learning_rate": "5e-4"}}, "train.learning_rate"),
        ({"train": {"learning_rate": float("inf")}}, "train.learning_rate"),
        ({"train": {"learning_rate": float("nan")}}, "train.learning_rate"),
        ({"train": {"targets": []}}, "train.targets"),
        ({"train": 3}, "train"),
        ({"curate": {"near_threshold": 0}}, "curate.near_threshold"),
        ({"curate": {"near_threshold": 1.01}}, "curate.near_threshold"),
        ({"curate": {"seed": -1}}, "curate.seed"),
        ({"curate": {"target": 0}}, "curate.target"),
        ({"data": {"files": "a.jsonl"}}, "data.files"),
        ({"data": {"files": ["a.jsonl", 3]}}, "data.files[1]"),
        ({"evaluate": {"prompts": 1}}, "evaluate.prompts"),
        ({"persona": {"facts": [{"ask": "a"}]}}, "persona.facts[0]"),
    ],
)
def test_a_wrong_value_names_its_key(raw: dict[str, object], key: str) -> None:
    assert message(raw).startswith(f"{key}: ")


def test_a_wrong_choice_lists_the_choices() -> None:
    text = message({"data": {"format": "chatml"}})
    assert text.startswith("data.format: ")
    assert "auto, messages, sharegpt, alpaca, pairs" in text


@pytest.mark.parametrize("text", ["", "[persona]\n", '[persona]\nname = "  "\n'])
def test_a_persona_without_a_name_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"persona\.name: the persona has no name") as caught:
        load_config(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["[persona\n", "name = Jack\n", "a = 1\na = 2\n"])
def test_text_that_is_not_toml_is_one_line_with_the_place(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"not valid TOML: .*line \d") as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_how_to_make_a_project(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; `molting new"):
        load_config(tmp_path / "molting.toml")


def test_a_folder_or_a_binary_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00a")
    for path in (tmp_path, tmp_path / "binary"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(path)


def test_override_replaces_only_what_is_given() -> None:
    config = parse_config({"train": {"rank": 4}, "curate": {"target": 9}})
    changed = override(config, "train", epochs=3, rank=None, learning_rate=1e-3)
    assert (changed.train.rank, changed.train.epochs) == (4, 3)
    assert changed.train.learning_rate == 1e-3
    assert changed.curate == config.curate
    assert override(config, "train", rank=None) is config


def test_override_is_as_strict_as_the_file() -> None:
    with pytest.raises(ConfigError, match=r"train\.rank: expected"):
        override(Config(), "train", rank=0)
    with pytest.raises(ConfigError, match=r"train\.rnak: unknown key; did you mean `rank`"):
        override(Config(), "train", rnak=3)


@pytest.mark.parametrize("name", ["train", "persona"])
def test_a_configuration_cannot_be_changed_in_place(name: str) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        setattr(Config(), name, None)


def test_config_keys_tell_sections_from_values() -> None:
    keys = config_keys()
    assert keys["train"] is Train
    assert set(config_keys(Train).values()) == {None}


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=6))
def test_a_fingerprint_ignores_the_order_of_keys(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert fingerprint("a", value) == fingerprint("a", backwards)
    assert fingerprint("a", value) != fingerprint("b", value)


def test_a_fingerprint_tells_every_setting_apart() -> None:
    assert fingerprint(Config()) == fingerprint(Config())
    assert fingerprint(Config()) != fingerprint(override(Config(), "train", seed=1))
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_an_input_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    binary = tmp_path / "latin.txt"
    binary.write_bytes("ok é".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.txt: not UTF-8 text \(byte 3\)"):
        read_text_input(binary)
    with pytest.raises(InputError, match="is a folder"):
        read_text_input(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_text_input(tmp_path / "none")


def test_defaults_written_out_and_read_again_are_the_same_run() -> None:
    # A default of 32 for a number that is read as 32.0 would make `--set` another run.
    raw = msgspec.to_builtins(Config())
    written = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in raw.items()
    }
    assert fingerprint(parse_config(written)) == fingerprint(Config())
