"""Which encoder a name, folder or Hub id means.

`minilm` for thousands of rows, `static` for millions, `trainee` for the model that is to be tuned,
`fake` for tests, and any sentence-transformers or model2vec folder or Hub id.
"""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from molting.core.artifacts import read_json
from molting.core.errors import ModelNotFound
from molting.core.progress import Progress, Silent
from molting.models.fetch import from_hub
from molting.models.vectors import Encoder, Rows, module_names, unit

if TYPE_CHECKING:
    from molting.models.base import LoadedModel

NAMES = ("minilm", "static", "trainee", "fake")
"""What needs no folder and no Hub id."""
_PATTERNS = ["*.json", "*.safetensors", "*/*.json", "*/*.safetensors"]


class FakeEncoder:
    """Hashed character trigrams: deterministic, no weights, no model; for tests."""

    name = "fake"
    id = "b2:fake-encoder-1"
    width = 256

    def encode(self, texts: Sequence[str]) -> Rows:
        import numpy as np

        rows = np.zeros((len(texts), self.width), np.float32)
        for i, text in enumerate(texts):
            padded = f" {' '.join(text.lower().split())} ".encode("utf-8", "replace")
            for k in range(len(padded) - 2):
                rows[i, zlib.crc32(padded[k : k + 3]) % self.width] += 1.0
        return unit(rows)


def load_encoder(
    spec: str,
    base: LoadedModel | None = None,
    progress: Progress | None = None,
    dtype: str = "auto",
) -> Encoder:
    """An encoder by name (`NAMES`), folder or Hub id.

    `trainee` is the mean state of `base`'s last layer, `trainee:N` of layer N (0: embeddings).
    Raises ModelNotFound: one line with everything that was tried.
    """
    progress = progress or Silent()
    if spec == "fake":
        return FakeEncoder()
    if spec == "minilm":
        from molting.models.minilm import load_minilm

        return load_minilm(progress, dtype)
    if spec == "static":
        from molting.models.minilm import load_static

        return load_static(progress)
    if spec.partition(":")[0] == "trainee":
        return _trainee(spec, base)
    path = Path(spec).expanduser()
    if path.is_dir():
        return _from_folder(spec, path, dtype)
    if spec.count("/") == 1 and not spec.startswith((".", "/", "~")):
        tried: list[str] = []
        found = from_hub(spec, None, _PATTERNS, tried, lambda f: (_kind(f), f)[1])
        if found is not None:
            return _from_folder(spec, found, dtype)
        raise ModelNotFound(f"encoder {spec!r} was not found; tried: " + "; ".join(tried))
    close = difflib.get_close_matches(spec, NAMES, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ModelNotFound(
        f"encoder {spec!r} does not exist: no such folder, no Hub id (`owner/name`), no short "
        f"name; {hint}short names: " + ", ".join(NAMES)
    )


def _trainee(spec: str, base: LoadedModel | None) -> Encoder:
    from molting.models.sentence import TransformerEncoder

    if base is None:
        raise ModelNotFound(
            f"encoder {spec!r} pools the states of the base model, and there is none here; "
            "use it within a project"
        )
    _, _, number = spec.partition(":")
    layers = int(base.model.config.num_hidden_layers)
    if number and (not number.isdigit() or int(number) > layers):
        raise ModelNotFound(f"encoder {spec!r}: give a layer from 0 to {layers}, as in trainee:4")
    return TransformerEncoder.of_base(spec, base, int(number) if number else None)


def _from_folder(spec: str, folder: Path, dtype: str) -> Encoder:
    if _kind(folder) == "static":
        from molting.models.static import StaticEncoder

        return StaticEncoder.from_folder(spec, folder)
    from molting.models.sentence import TransformerEncoder

    return TransformerEncoder.from_folder(spec, folder, dtype)


def _kind(folder: Path) -> str:
    """`static` or `sentence`; raises ModelNotFound when the folder is neither."""
    modules = folder / "modules.json"
    if modules.is_file():
        names = module_names(folder)
        return "static" if names[:1] == ["StaticEmbedding"] else "sentence"
    config = folder / "config.json"
    if config.is_file() and read_json(config).get("model_type") == "model2vec":
        return "static"
    raise ModelNotFound(
        f"{folder}: neither a sentence-transformers folder (modules.json) nor a model2vec one"
    )
