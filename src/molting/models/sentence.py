"""Transformer encoders: a forward pass, the token states pooled to one row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molting.core.artifacts import file_hash, read_json
from molting.core.errors import ModelNotFound
from molting.models.fetch import one_line
from molting.models.machine import choose_dtype
from molting.models.quiet import quiet
from molting.models.vectors import Rows, module_names, unit, whole
from molting.models.vocabulary import token_weights

if TYPE_CHECKING:
    from molting.models.base import LoadedModel

_BATCH_TOKENS = 4096
"""Tokens in a batch, padding included: larger ones no longer gain on two cores."""
_SAME = 0.99
"""Least cosine between a row in bfloat16 and in float32 for bfloat16 to be used."""
_PROBES = (
    "How long do I boil an egg for a runny yolk?",
    "The train leaves at 7:45 from platform 3, not from platform 8.",
    "aye",
    "I have never been to Japan, but I'd love to go one day. My sister lives there, and she says "
    "that the trains are on time and the noodles are better than anywhere else.",
)


@dataclass(frozen=True)
class TransformerEncoder:
    """Mean (or first-token) pooling over the states of one layer."""

    name: str
    id: str
    model: Any
    """A `transformers` model without a head, evaluation mode."""
    tokenizer: Any
    """A `tokenizers.Tokenizer`, no padding, truncating."""
    weights: Rows
    """Shape (vocabulary,): what a token counts for in an alignment."""
    pooling: str = "mean"
    layer: int | None = None
    """None is the last one."""

    @classmethod
    def from_folder(cls, name: str, folder: Path, dtype: str = "auto") -> TransformerEncoder:
        """A sentence-transformers folder: Transformer, Pooling (mean or first token), Normalize."""
        pooling, max_tokens = _read_modules(folder)
        tokenizer = read_tokenizer(folder, max_tokens)
        model, chosen = _load(folder, dtype, tokenizer, pooling)
        digest = hashlib.blake2b(digest_size=16)
        for file in [folder / "config.json", folder / "tokenizer.json", *_weights(folder)]:
            digest.update(file_hash(file).encode())
        digest.update(f"{pooling} {max_tokens} {chosen}".encode())
        return cls(
            name, "b2:" + digest.hexdigest(), model, tokenizer, token_weights(tokenizer), pooling
        )

    @classmethod
    def of_base(cls, name: str, base: LoadedModel, layer: int | None) -> TransformerEncoder:
        """The trainee's own states, pooled by their mean."""
        from tokenizers import Tokenizer

        # A copy: truncation is a property of the tokenizer, and training must not inherit it.
        tokenizer = Tokenizer.from_str(base.tokenizer.backend_tokenizer.to_str())
        tokenizer.no_padding()
        tokenizer.enable_truncation(min(base.context_tokens, 512))
        digest = hashlib.blake2b(
            f"trainee {base.source.weights} {base.dtype} {layer}".encode(), digest_size=16
        )
        model = base.model.base_model
        return cls(
            name, "b2:" + digest.hexdigest(), model, tokenizer, token_weights(tokenizer), "mean",
            layer,
        )  # fmt: skip

    def encode(self, texts: Sequence[str]) -> Rows:
        """float32, shape (len(texts), width), rows of length 1."""
        import numpy as np

        rows = np.zeros((len(texts), int(self.model.config.hidden_size)), np.float32)
        for places, _, states_BTD, mask_BT in self._forward(texts):
            rows[places] = _pool(states_BTD, mask_BT, self.pooling)
        return unit(rows)

    def encode_tokens(self, texts: Sequence[str]) -> tuple[Rows, list[Rows], list[Rows]]:
        """As in `encoders.TokenEncoder`, from one forward pass."""
        import numpy as np

        width = int(self.model.config.hidden_size)
        rows = np.zeros((len(texts), width), np.float32)
        states: list[Rows] = [np.zeros((0, width), np.float32)] * len(texts)
        weights: list[Rows] = [np.zeros(0, np.float32)] * len(texts)
        for places, encoded, states_BTD, mask_BT in self._forward(texts):
            rows[places] = _pool(states_BTD, mask_BT, self.pooling)
            states_of = states_BTD.float().cpu().numpy()
            for k, (i, item) in enumerate(zip(places, encoded, strict=True)):
                plain = np.array(item.special_tokens_mask) == 0
                states[i] = unit(states_of[k, : len(item.ids)][plain])
                weights[i] = self.weights[np.array(item.ids)[plain]]
        return unit(rows), states, weights

    def _forward(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[Any], Any, Any]]:
        import torch

        device = next(self.model.parameters()).device
        encoded = self.tokenizer.encode_batch_fast(whole(texts))
        order = sorted(
            (i for i in range(len(texts)) if encoded[i].ids), key=lambda i: len(encoded[i].ids)
        )
        for places in _batches(order, [len(item.ids) for item in encoded]):
            longest = len(encoded[places[-1]].ids)
            ids_BT = torch.zeros((len(places), longest), dtype=torch.long)
            mask_BT = torch.zeros_like(ids_BT)
            for k, i in enumerate(places):
                count = len(encoded[i].ids)
                ids_BT[k, :count] = torch.tensor(encoded[i].ids)
                mask_BT[k, :count] = 1
            mask_BT = mask_BT.to(device)
            with torch.inference_mode():
                done = self.model(
                    input_ids=ids_BT.to(device),
                    attention_mask=mask_BT,
                    output_hidden_states=self.layer is not None,
                )
            states = (
                done.last_hidden_state if self.layer is None else done.hidden_states[self.layer]
            )
            yield places, [encoded[i] for i in places], states, mask_BT


def _pool(states_BTD: Any, mask_BT: Any, pooling: str) -> Any:
    if pooling == "first":
        return states_BTD[:, 0].float().cpu().numpy()
    mask_BT1 = mask_BT.unsqueeze(-1)
    mean_BD = (states_BTD.float() * mask_BT1).sum(1) / mask_BT1.sum(1)
    return mean_BD.cpu().numpy()


def _batches(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """Shortest first, so that little is padded."""
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * lengths[i] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _read_modules(folder: Path) -> tuple[str, int]:
    """(pooling, longest text in tokens); one clear line for what is not supported."""
    names = module_names(folder)
    if names[:2] != ["Transformer", "Pooling"] or set(names[2:]) - {"Normalize"}:
        raise ModelNotFound(
            f"{folder}: its steps are {', '.join(names)}; supported: Transformer, Pooling, Normalize"
        )
    steps = read_json(folder / "modules.json")
    config = read_json(folder / str(steps[1]["path"]) / "config.json")
    mode = config.get("pooling_mode")
    modes = (
        [mode] if mode else [k[13:] for k, v in config.items() if k[:13] == "pooling_mode_" and v]
    )
    known = {"mean_tokens": "mean", "mean": "mean", "cls_token": "first", "cls": "first"}
    if len(modes) != 1 or modes[0] not in known:
        raise ModelNotFound(
            f"{folder}: its pooling is {', '.join(map(str, modes)) or 'not given'}; "
            "supported: mean or first token"
        )
    longest = 512
    settings = folder / "sentence_bert_config.json"
    if settings.is_file():
        longest = int(read_json(settings).get("max_seq_length") or longest)
    return known[modes[0]], longest


def read_tokenizer(folder: Path, max_tokens: int | None) -> Any:
    """The folder's fast tokenizer, without padding; one clear line when there is none."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelNotFound(f"{folder}: has no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception on a damaged file
        raise ModelNotFound(f"{file}: cannot be read: {one_line(error)}") from None
    tokenizer.no_padding()
    if max_tokens is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _weights(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if not files or not (folder / "config.json").is_file():
        raise ModelNotFound(f"{folder}: not an encoder folder (no config.json and *.safetensors)")
    return files


def _load(folder: Path, dtype: str, tokenizer: Any, pooling: str) -> tuple[Any, str]:
    """The model in the faster dtype, bfloat16 only if its rows stay what they are in float32."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModel

    _weights(folder)
    try:
        with quiet():
            model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelNotFound(f"{folder}: its weights cannot be loaded: {one_line(error)}") from None
    model.eval().requires_grad_(False)
    if torch.cuda.is_available():
        model.to("cuda")
    chosen = choose_dtype(dtype)
    if chosen == "float32":
        return model, chosen
    nothing = token_weights(tokenizer)
    exact = TransformerEncoder("", "", model, tokenizer, nothing, pooling).encode(_PROBES)
    fast_model = model.to(torch.bfloat16)
    fast = TransformerEncoder("", "", fast_model, tokenizer, nothing, pooling).encode(_PROBES)
    if float((exact * fast).sum(1).min()) >= _SAME:
        return fast_model, chosen
    return _load(folder, "float32", tokenizer, pooling)
