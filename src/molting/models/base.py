"""A base model in memory: weights, tokenizer, and which tokens end a reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from molting.core.errors import ModelNotFound, UsageError
from molting.models.allocator import release_memory
from molting.models.fake import fake_model, fake_tokenizer
from molting.models.quantize import quantize, require_bitsandbytes
from molting.models.quiet import quiet
from molting.models.sources import ModelSource


@dataclass(frozen=True)
class LoadedModel:
    """What every later room works with."""

    source: ModelSource
    model: Any
    """A `transformers` causal language model, evaluation mode, gradients off."""
    tokenizer: Any
    stop_ids: frozenset[int]
    dtype: str

    @property
    def context_tokens(self) -> int:
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 1 << 30)


def load_tokenizer(source: ModelSource) -> Any:
    """The fast tokenizer with its chat template; one clear error when it has none."""
    if source.folder is None:
        return fake_tokenizer()
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(source.folder)
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"{source.name}: its tokenizer cannot be read: {error}") from None
    if not getattr(tokenizer, "is_fast", False):
        raise UsageError(f"{source.name}: has no fast tokenizer; Molting needs character offsets")
    if not tokenizer.chat_template:
        raise UsageError(
            f"{source.name}: has no chat template; use an instruction-tuned base model"
        )
    return tokenizer


def load_model(source: ModelSource, dtype: str, *, four_bit: bool = False) -> LoadedModel:
    """Load weights in `float32` or `bfloat16`, frozen; with `four_bit` the linear layers are in
    NF4, and `dtype` is what they compute in."""
    import torch

    if four_bit:
        require_bitsandbytes()
    torch_dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    tokenizer = load_tokenizer(source)
    if source.folder is None:
        model = fake_model().to(torch_dtype)
    else:
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM

        try:
            with quiet():
                model = AutoModelForCausalLM.from_pretrained(source.folder, dtype=torch_dtype)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            line = (str(error).strip().splitlines() or [""])[0]
            raise ModelNotFound(f"{source.name}: its weights cannot be loaded: {line}") from None
    if four_bit:
        model = quantize(model, torch_dtype)
        # What it computes is not what the full weights compute: it must not be remembered as such.
        source = msgspec.structs.replace(source, weights=f"{source.weights}:nf4")
        release_memory()
    model.eval().requires_grad_(False)
    if torch.cuda.is_available():
        model.to("cuda")
    return LoadedModel(source, model, tokenizer, _stop_ids(model, tokenizer), dtype)


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    for value in (
        getattr(model.generation_config, "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        if isinstance(value, int):
            found.add(value)
        elif value is not None:
            found.update(int(item) for item in value)
    return frozenset(found)
