"""The shipped fake: a two-layer Llama over bytes, built from a seed, no weights to fetch.

It runs every stage offline in seconds and, being a real model, it can be tuned: tests that a
loss falls or an adapter resumes are tests of the real code.
"""

from __future__ import annotations

from typing import Any

from molting.models.catalogue import FAKE_LAYERS, FAKE_WIDTH

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_SPECIAL = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|pad|>"]


def fake_tokenizer(chat_template: str = CHAT_TEMPLATE, special: list[str] | None = None) -> Any:
    """One token a byte, plus special tokens; the first special token ends a turn."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = special or _SPECIAL
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=special[0],
        pad_token=special[-1],
        additional_special_tokens=special[1:-1],
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def fake_model() -> Any:
    """A deterministic float32 `LlamaForCausalLM` with about 60,000 parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=264,
        hidden_size=FAKE_WIDTH,
        intermediate_size=96,
        num_hidden_layers=FAKE_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        eos_token_id=256,
        bos_token_id=None,
        pad_token_id=260,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = 256
    return model.eval()
