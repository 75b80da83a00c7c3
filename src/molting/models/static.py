"""Static encoders: a row for each token, averaged. No forward pass, so millions of texts are fine.

Reads model2vec's folders (and the sentence-transformers layouts of the same) and distils one from
a transformer encoder the way Model2Vec does (Minish Lab; van Dongen and Tulkens 2024): each token
alone through the model, the principal components, SIF weights. Their library's distillation pins
an older transformers, its format is three files: that is why it is done here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molting.core.artifacts import file_hash, write_json
from molting.core.errors import ModelNotFound
from molting.models.fetch import one_line
from molting.models.sentence import TransformerEncoder, read_tokenizer
from molting.models.vectors import Rows, unit, whole
from molting.models.vocabulary import token_weights

_CHUNK = 32768
_DIMENSIONS = 256
_SPACES = str.maketrans("\t\n\r", "   ")
_LAYOUTS = ("", "0_StaticEmbedding")


@dataclass(frozen=True)
class StaticEncoder:
    """The mean of its tokens' rows, scaled to length 1."""

    name: str
    id: str
    table: Rows
    """float32, shape (vocabulary, width), weights multiplied in, zeros for unknown tokens."""
    tokenizer: Any

    @classmethod
    def from_folder(cls, name: str, folder: Path) -> StaticEncoder:
        """A model2vec folder; `embeddings` with optional `weights` and `mapping`."""
        import numpy as np
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        at = next((folder / x for x in _LAYOUTS if (folder / x / "tokenizer.json").is_file()), None)
        if at is None or not (at / "model.safetensors").is_file():
            raise ModelNotFound(f"{folder}: no static encoder (model.safetensors, tokenizer.json)")
        try:
            tensors = load_file(at / "model.safetensors")
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelNotFound(
                f"{folder}: its weights cannot be read: {one_line(error)}"
            ) from None
        table = tensors.get("embeddings", tensors.get("embedding.weight"))
        if table is None:
            raise ModelNotFound(f"{folder}: its weights have no `embeddings`")
        table = table.astype(np.float32)
        if "mapping" in tensors:
            table = table[tensors["mapping"]]
        if "weights" in tensors:
            table = table * tensors["weights"].astype(np.float32)[:, None]
        tokenizer = read_tokenizer(at, None)
        if len(table) < tokenizer.get_vocab_size():
            raise ModelNotFound(f"{folder}: {len(table)} rows for a larger vocabulary")
        unknown = getattr(tokenizer.model, "unk_token", None)
        place = tokenizer.token_to_id(unknown) if unknown else None
        if place is not None:
            table[place] = 0.0
        digest = hashlib.blake2b(digest_size=16)
        for file in ("tokenizer.json", "model.safetensors"):
            digest.update(file_hash(at / file).encode())
        return cls(name, "b2:" + digest.hexdigest(), table, tokenizer)

    def encode(self, texts: Sequence[str]) -> Rows:
        """float32, shape (len(texts), width), rows of length 1."""
        import numpy as np

        rows = np.zeros((len(texts), self.table.shape[1]), np.float32)
        for start in range(0, len(texts), _CHUNK):
            some = whole(texts[start : start + _CHUNK])
            if self._splits_at_space:
                # Tokens never cross white space here, so that each different word is cut into
                # tokens once: several times faster, and the tokenizer is where the time goes.
                place: dict[str, int] = {}
                # Not split(): it also splits at control characters, which the tokenizer drops.
                found = [
                    [place.setdefault(word, len(place)) for word in text.split(" ")]
                    for text in (text.translate(_SPACES) for text in some)
                ]
                rows[start : start + len(some)] = _sums(found, self._tokens(list(place)))
            else:
                rows[start : start + len(some)] = self._tokens(some)
        return unit(rows)

    @property
    def _splits_at_space(self) -> bool:
        return type(self.tokenizer.pre_tokenizer).__name__ == "BertPreTokenizer"

    def _tokens(self, texts: Sequence[str]) -> Rows:
        """Sum of the tokens' rows of each text."""
        encoded = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return _sums([item.ids for item in encoded], self.table)


def _sums(places: Sequence[Sequence[int]], table: Rows) -> Rows:
    """For each list of places the sum of those rows, shape (len(places), width)."""
    from itertools import chain

    import numpy as np
    from scipy.sparse import csr_array

    bounds = np.cumsum([0, *map(len, places)])
    flat = np.fromiter(chain.from_iterable(places), np.int32, int(bounds[-1]))
    counts = csr_array(
        (np.ones(len(flat), np.float32), flat, bounds), shape=(len(places), len(table))
    )
    found: Rows = counts @ table
    return found


def distil(teacher: TransformerEncoder, folder: Path, dimensions: int = _DIMENSIONS) -> None:
    """Write a model2vec folder whose rows are the teacher's for single tokens."""
    import numpy as np
    import torch
    from safetensors.numpy import save_file

    tokenizer = teacher.tokenizer
    size = tokenizer.get_vocab_size()
    first = tokenizer.encode("", add_special_tokens=True).ids
    before, after = first[:1], first[1:]
    ids = torch.tensor([[*before, i, *after] for i in range(size)])
    parts = []
    with torch.inference_mode():
        for start in range(0, size, 1024):
            states = teacher.model(input_ids=ids[start : start + 1024]).last_hidden_state
            parts.append(states.float().mean(1).cpu().numpy())
    rows = np.concatenate(parts)
    weights = token_weights(tokenizer)
    said = weights > 0
    centred = rows - rows[said].mean(0)
    # The covariance is small (width × width); decomposing it costs nothing beside the passes.
    _, vectors = np.linalg.eigh(np.cov(centred[said], rowvar=False))
    table = centred @ vectors[:, ::-1][:, :dimensions]
    # Signs of eigenvectors are arbitrary; fixed, two machines get the same table.
    table *= np.where(table[np.abs(table).argmax(0), np.arange(table.shape[1])] < 0, -1.0, 1.0)
    table *= weights[:, None]
    save_file({"embeddings": table.astype(np.float16)}, folder / "model.safetensors")
    plain = type(tokenizer).from_str(tokenizer.to_str())
    plain.no_truncation()
    plain.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "hidden_dim": table.shape[1],
        "normalize": True,
        "seq_length": 1000000,
    }
    write_json(folder / "config.json", config)
