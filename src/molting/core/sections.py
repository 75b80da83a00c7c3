"""The one place for defaults: frozen types for every section of `molting.toml`.

docs/configuration.md is generated from the descriptions (`python -m molting.core.schema`); units are
in the names. Reading and overriding: core/config.py, which hands these on.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from molting.core.persona import Persona

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
            "LoRA scale, said before training; 5e-4 for smollm2-135m, twice that in fast mode)",
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
