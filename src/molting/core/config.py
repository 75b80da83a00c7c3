"""The one place for defaults: frozen types for every section of `molting.toml`.

`molting.toml` is decoded into these types, flags override single fields, and
docs/configuration.md is generated from the descriptions (`python -m molting.core.schema`).
An unknown key is an error with a suggestion; units are in the names.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from molting.core.errors import ConfigError, InputError
from molting.core.persona import Fact, Persona

Positive = Annotated[int, Meta(ge=1)]
Above = Annotated[float, Meta(gt=0)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Data(_Section, frozen=True):
    """Where the chat rows come from."""

    files: Annotated[
        tuple[str, ...], Meta(description="chat files, relative to the project's folder")
    ] = ()
    format: Annotated[
        Literal["auto", "messages", "sharegpt", "alpaca", "pairs"],
        Meta(description="the rows' format; `auto` looks and says what it found"),
    ] = "auto"
    held_out: Annotated[
        tuple[str, ...],
        Meta(description="chat files kept apart for evaluation; never trained on"),
    ] = ()


class Import(_Section, frozen=True):
    """How a chat is cut into conversations. Flags of `molting import`, no keys of molting.toml."""

    pause_hours: Annotated[
        float,
        Meta(gt=0, description="a longer pause begins a new conversation, where times are known"),
    ] = 8.0
    turns: Annotated[int, Meta(ge=2, description="most turns of a conversation")] = 20


class Curate(_Section, frozen=True):
    """Which rows are kept."""

    target: Annotated[
        Positive | None,
        Meta(description="how many rows to train on (absent: every good one)"),
    ] = None
    near_threshold: Annotated[
        float,
        Meta(gt=0, le=1, description="replies at or above this Jaccard similarity are duplicates"),
    ] = 0.7
    semantic: Annotated[
        Literal["report", "reject", "off"],
        Meta(
            description="rows that say the same in other words: `report` them in the evidence, "
            "`reject` all but the best of each group, or do not look (`off`)"
        ),
    ] = "report"
    semantic_threshold: Annotated[
        float,
        Meta(gt=0, le=1, description="probability of saying the same from which a row counts"),
    ] = 0.9
    diversity: Annotated[
        float,
        Meta(ge=0, le=1, description="weight of being unlike the rows already chosen"),
    ] = 0.5
    selector: Annotated[
        Literal["quality", "facility", "random", "longest"],
        Meta(
            description="how rows are chosen: by score and difference, by how well they stand for "
            "all, or as a rival to measure against"
        ),
    ] = "quality"
    topics: Annotated[
        Positive | None,
        Meta(description="topics of which none is crowded out (absent: by the number of rows)"),
    ] = None
    phrase_share: Annotated[
        float,
        Meta(gt=0, le=1, description="largest share of the replies that may say the same phrase"),
    ] = 0.2
    minimum_reply_words: Annotated[
        int, Meta(ge=1, description="a row is noise when all its replies are shorter")
    ] = 2
    secrets: Annotated[
        Literal["reject", "redact", "keep"],
        Meta(
            description="rows with secrets or personal data: `reject` them, `redact` them (each find "
            "becomes its kind in brackets, and the row stays), or `keep` them as they are"
        ),
    ] = "reject"
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="seed of the split")] = 0


class Review(_Section, frozen=True):
    """Which rows a person is asked about (`molting review`)."""

    rows: Annotated[Positive, Meta(description="length of the queue")] = 150
    reviewer: Annotated[
        str, Meta(min_length=1, description="who decides, where --reviewer does not say")
    ] = "reviewer"


class Split(_Section, frozen=True):
    """Rows held out by prompt and duplicate group, so that nothing leaks."""

    validation_rows: Annotated[
        Positive | None,
        Meta(description="rows for early stopping (absent: a tenth, 2 to 60)"),
    ] = None
    test_rows: Annotated[
        Positive | None,
        Meta(
            description="rows for evaluation (absent: a sixth, 4 to 100; "
            "unused when `data.held_out` names files)"
        ),
    ] = None


class Base(_Section, frozen=True):
    """The untouched model."""

    model: Annotated[
        str,
        Meta(min_length=1, description="short name, folder, GGUF file or Hub id (`owner/name`)"),
    ] = "smollm2-135m"
    revision: Annotated[
        str | None, Meta(description="Hub commit; pinned in the molt when absent")
    ] = None
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Meta(description="`auto` times both on this machine and takes the faster"),
    ] = "auto"


class Train(_Section, frozen=True):
    """How the adapter is tuned."""

    method: Annotated[
        Literal["lora", "qlora", "dpo"],
        Meta(
            description="`lora`; `qlora`, the same over a base in 4 bits; or `dpo`, preference "
            "tuning: the persona's reply against the base model's own to the same prompt"
        ),
    ] = "lora"
    mode: Annotated[
        Literal["exact", "fast"],
        Meta(
            description="`exact` adapts every layer; `fast` the top ones only, and what the layers "
            "below them compute is remembered"
        ),
    ] = "exact"
    top_layers: Annotated[
        Positive | None,
        Meta(description="layers adapted in fast mode (absent: the top third)"),
    ] = None
    rank: Annotated[int, Meta(ge=1, le=1024, description="LoRA rank r")] = 16
    alpha: Annotated[float, Meta(gt=0, description="LoRA scale; the update is alpha/r · B·A")] = (
        32.0
    )
    dropout: Annotated[float, Meta(ge=0, lt=1, description="dropout before A")] = 0.0
    dora: Annotated[
        bool, Meta(description="DoRA: length and direction of a weight apart; slower")
    ] = False
    rslora: Annotated[
        bool, Meta(description="rsLoRA: the update is alpha/√r · B·A, for high ranks")
    ] = False
    targets: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="linear layers to adapt; `all-linear` is every one but the head",
        ),
    ] = ("all-linear",)
    max_tokens: Annotated[
        int,
        Meta(ge=16, description="longest row; longer conversations lose their oldest turns"),
    ] = 1024
    learning_rate: Annotated[
        Above | None,
        Meta(
            description="peak learning rate of AdamW (absent: by a rule of method, width and "
            "LoRA scale, said before training; 5e-4 for smollm2-135m at rank 16)",
        ),
    ] = None
    batch_rows: Annotated[int, Meta(ge=1, description="conversations in an optimizer step")] = 8
    epochs: Annotated[int, Meta(ge=1, description="most epochs; early stopping may end sooner")] = 6
    warmup_share: Annotated[
        float, Meta(ge=0, lt=1, description="share of the steps in which the rate rises")
    ] = 0.05
    weight_decay: Annotated[float, Meta(ge=0, description="AdamW weight decay")] = 0.0
    clip_norm: Annotated[float, Meta(gt=0, description="gradient norm is clipped to this")] = 1.0
    patience: Annotated[
        int,
        Meta(ge=1, description="stop after this many evaluations without a better state"),
    ] = 2
    voice_prompts: Annotated[
        int,
        Meta(
            ge=0,
            le=200,
            description="validation prompts answered at each evaluation, so that personality has "
            "a say in when to stop and which state is kept (0: perplexity alone)",
        ),
    ] = 0
    voice_every: Annotated[int, Meta(ge=1, description="epochs between two such evaluations")] = 1
    tolerance: Annotated[
        float,
        Meta(
            ge=0,
            description="validation loss, in nats a token above the lowest, within which the "
            "state with the best personality is kept (with `voice_prompts`)",
        ),
    ] = 0.05
    mix: Annotated[
        float,
        Meta(
            ge=0,
            le=0.9,
            description="share of neutral conversations among the training rows: everyday prompts "
            "with the base model's own replies",
        ),
    ] = 0.0
    dpo_beta: Annotated[
        float, Meta(gt=0, description="DPO: how closely the reference is kept to")
    ] = 0.1
    dpo_nll: Annotated[
        float, Meta(ge=0, description="DPO: weight of the chosen reply's own loss")
    ] = 0.1
    dpo_per_token: Annotated[
        bool, Meta(description="DPO: compare log-probabilities per token, not per reply")
    ] = False
    dpo_after: Annotated[
        int, Meta(ge=0, description="DPO: epochs of plain tuning on the chosen replies before it")
    ] = 0
    dpo_reply_tokens: Annotated[
        int, Meta(ge=8, description="DPO: longest reply of the base model's own")
    ] = 96
    trackers: Annotated[
        tuple[Literal["tensorboard", "trackio", "mlflow"], ...],
        Meta(description="where metrics go besides metrics.jsonl (extras of the same names)"),
    ] = ()
    checkpoint_seconds: Annotated[
        float, Meta(ge=0, description="save a resume point this often")
    ] = 20.0
    seed: Annotated[
        int, Meta(ge=0, lt=2**32, description="seed of initial weights, order and dropout")
    ] = 0


class Evaluate(_Section, frozen=True):
    """How a molt is measured."""

    prompts: Annotated[
        int, Meta(ge=4, description="most held-out prompts to answer (all, if fewer)")
    ] = 100
    samples: Annotated[int, Meta(ge=1, description="replies for each prompt")] = 1
    max_new_tokens: Annotated[int, Meta(ge=8, description="longest reply generated")] = 96
    temperature: Annotated[float, Meta(ge=0, description="0 is greedy")] = 0.7
    top_p: Annotated[float, Meta(gt=0, le=1, description="nucleus")] = 0.9
    seed: Annotated[
        int, Meta(ge=0, lt=2**32, description="seed of sampling and of the bootstrap")
    ] = 0
    resamples: Annotated[int, Meta(ge=100, description="bootstrap resamples")] = 2000
    choices: Annotated[
        int,
        Meta(
            ge=0,
            description="most held-out prompts for likelihood gain L and forced choice F (0: neither)",
        ),
    ] = 20
    robustness: Annotated[
        int,
        Meta(
            ge=0,
            description="most held-out prompts asked again with stop suffixes, prefills and neutral "
            "turns before (0: none)",
        ),
    ] = 16
    projection: Annotated[
        int,
        Meta(
            ge=0, description="most held-out prompts for projection P on a persona vector (0: none)"
        ),
    ] = 0
    retention: Annotated[
        tuple[str, ...],
        Meta(
            description="files of items with a right answer, asked beside the shipped ones "
            "(docs/retention.md has the formats)"
        ),
    ] = ()
    retention_items: Annotated[
        Positive, Meta(description="most items of each of those files, taken evenly")
    ] = 200
    retention_margin: Annotated[
        float,
        Meta(gt=0, le=100, description="accuracy that may be lost, in percentage points"),
    ] = 5.0
    neutral_text: Annotated[
        str | None,
        Meta(description="plain text file whose perplexity is watched too, such as WikiText-2"),
    ] = None
    perplexity_margin: Annotated[
        float,
        Meta(
            gt=0, description="rise of the perplexity on neutral text that is allowed, in percent"
        ),
    ] = 25.0
    copying_margin: Annotated[
        float,
        Meta(
            gt=0,
            le=100,
            description="replies that repeat training rows beyond the rate of the persona's own "
            "held-out text: allowed, in percentage points",
        ),
    ] = 10.0


class Memory(_Section, frozen=True):
    """What is kept of what a frozen model has computed (`.molting/memory`, safe to delete)."""

    budget_gib: Annotated[
        float,
        Meta(gt=0, description="beyond this, what was used longest ago is dropped"),
    ] = 4.0


class Judge(_Section, frozen=True):
    """A language model that compares replies (`molting judge`); never part of the score."""

    url: Annotated[
        str | None,
        Meta(description="API address: an OpenAI-compatible base URL, or Anthropic's"),
    ] = None
    model: Annotated[str | None, Meta(description="the model's name there")] = None
    provider: Annotated[
        Literal["auto", "openai", "anthropic"],
        Meta(description="which API it speaks; `auto` goes by the address"),
    ] = "auto"
    key_env: Annotated[
        str,
        Meta(
            min_length=1,
            description="environment variable that holds the key; the key itself is never stored",
        ),
    ] = "MOLTING_JUDGE_KEY"
    prompts: Annotated[Positive, Meta(description="held-out prompts that are judged")] = 40
    calibration: Annotated[
        int, Meta(ge=6, description="known-bad replies mixed in, to judge the judge by")
    ] = 24
    timeout_seconds: Annotated[float, Meta(gt=0, description="longest wait for one answer")] = 60.0
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="seed of the orders")] = 0


class Detect(_Section, frozen=True):
    """How personality is detected. Flags of `molting detect`, no keys of molting.toml."""

    features: Annotated[
        str, Meta(min_length=1, description="base model, or the encoder `minilm` or `static`")
    ] = "smollm2-135m"
    layer: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="layer of a base model (absent: the middle one)"),
    ] = None
    pooling: Annotated[
        Literal["mean", "last", "max"], Meta(description="how a window's states become one row")
    ] = "mean"
    window_words: Annotated[int, Meta(ge=8, description="words in a window")] = 80
    windows: Annotated[
        Positive, Meta(description="most windows of a writer, spread over all the text")
    ] = 8
    head: Annotated[str, Meta(description="the head, where --head does not say")] = "logistic"
    folds: Annotated[int, Meta(ge=2, description="folds of the cross-validation")] = 5
    seeds: Annotated[Positive, Meta(description="cross-validations with other folds")] = 5
    resamples: Annotated[int, Meta(ge=100, description="bootstrap resamples")] = 1000


class Config(_Section, frozen=True):
    """All of `molting.toml`."""

    persona: Persona = Persona()
    data: Data = Data()
    curate: Curate = Curate()
    review: Review = Review()
    split: Split = Split()
    base: Base = Base()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    memory: Memory = Memory()
    judge: Judge = Judge()


def load_config(path: Path) -> Config:
    """Read `molting.toml`. Errors name the file, the key and, for a misspelling, the right one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            "no such file; `molting new DIR --name PERSONA --from FILE` makes a project", file=path
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=path) from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", file=path) from None
    config = parse_config(raw, path)
    require_name(config, path)
    return config


def require_name(config: Config, path: Path | None = None) -> None:
    """Raise ConfigError when the persona has no name: a project without one cannot be measured."""
    if not config.persona.name.strip():
        raise ConfigError(
            'the persona has no name; add `name = "…"` under [persona]',
            file=path,
            key="persona.name",
        )


def parse_config(raw: dict[str, Any], path: Path | None = None) -> Config:
    """Decode a parsed TOML table strictly."""
    _refuse_unknown(raw, Config, (), path)
    _refuse_infinite(raw, "", path)
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `")
        key = re.sub(r"^\$\.?", "", where.rstrip("`")) or None
        message = message[0].lower() + message[1:] + _choices(key)
        raise ConfigError(message, file=path, key=key) from None


def override(config: Config, section: str, **changes: Any) -> Config:
    """A configuration with some fields of a section replaced; `None` leaves a field alone."""
    changes = {key: value for key, value in changes.items() if value is not None}
    if not changes:
        return config
    raw = msgspec.to_builtins(config)
    raw[section].update(changes)
    # TOML has no null: absent is how a person writes it, so drop them before the strict check.
    return parse_config({k: _drop_none(v) for k, v in raw.items()})


def config_keys(struct: type[msgspec.Struct] = Config) -> dict[str, type[msgspec.Struct] | None]:
    """Field name → nested section type, or None for a plain value."""
    hints = get_type_hints(struct)
    return {
        name: hints[name]
        if isinstance(hints[name], type) and issubclass(hints[name], msgspec.Struct)
        else None
        for name in struct.__struct_fields__
    }


def fingerprint(*parts: Any) -> str:
    """`b2:` hash of configuration values and ids, independent of key order."""
    import hashlib

    raw = msgspec.json.encode(msgspec.to_builtins(parts), order="deterministic")
    return "b2:" + hashlib.blake2b(raw, digest_size=16).hexdigest()


def read_text_input(path: Path) -> str:
    """Text of an input file, or one clear line."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except IsADirectoryError:
        raise InputError("is a folder, not a file", file=path) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 text (byte {error.start}); save it as UTF-8", file=path
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from None


def _refuse_unknown(
    raw: object, struct: type[msgspec.Struct], at: tuple[str, ...], path: Path | None
) -> None:
    if not isinstance(raw, dict):
        return
    known = config_keys(struct)
    for key, value in raw.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            elsewhere = [
                f"{section}.{key}"
                for section, nested in config_keys().items()
                if nested is not None and key in config_keys(nested)
            ]
            # The very key in another section tells more than a similar one in this.
            if elsewhere:
                hint = f"did you mean `{elsewhere[0]}`?"
            elif close:
                hint = f"did you mean `{close[0]}`?"
            else:
                hint = "known here: " + ", ".join(known)
            raise ConfigError(f"unknown key; {hint}", file=path, key=".".join((*at, key)))
        nested = known[key]
        if nested is not None:
            _refuse_unknown(value, nested, (*at, key), path)
        elif struct is Persona and key == "facts" and isinstance(value, list):
            for i, fact in enumerate(value):
                _refuse_unknown(fact, Fact, (*at, f"facts[{i}]"), path)


def _refuse_infinite(value: Any, at: str, path: Path | None) -> None:
    """TOML can write `inf` and `nan`; no setting has a use for them."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_infinite(item, f"{at}.{key}" if at else key, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError("must be a finite number", file=path, key=at)


def _choices(key: str | None) -> str:
    """The values to choose from, for a key that takes one of a few."""
    section, _, name = (key or "").partition(".")
    struct = config_keys().get(section)
    kind = get_type_hints(struct).get(name) if struct is not None else None
    return "; one of " + ", ".join(get_args(kind)) if get_origin(kind) is Literal else ""


def _drop_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop_none(item) for key, item in value.items() if item is not None}
    return value
