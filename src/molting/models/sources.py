"""Where a base model comes from: cache, installed package, wheel, Hub, folder or GGUF file.

Whatever the source, the result is a folder that `transformers` reads without a network.
GGUF files are converted once and kept as safetensors under the cache, named by content.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from molting.core.artifacts import MANIFEST, atomic_folder, file_hash, read_json, write_json
from molting.core.errors import ModelNotFound
from molting.core.progress import Progress, Silent
from molting.models.catalogue import CATALOGUE, FAKE, FAKE_LAYERS, FAKE_WIDTH
from molting.models.fetch import from_hub, from_wheel, one_line
from molting.models.fetch import installed as _installed_file
from molting.models.fetch import sha256 as file_sha256


class ModelSource(msgspec.Struct, frozen=True):
    """A base model at rest."""

    name: str
    """As a person wrote it."""
    folder: Path | None
    """None for the fake, which is built in memory."""
    weights: str
    """`b2:` hash of the weights; part of every key in the memory."""
    origin: str
    """A sentence: where the weights were found."""
    revision: str | None = None


def cache_root() -> Path:
    """`$MOLTING_CACHE`, else `$XDG_CACHE_HOME/molting`, else `~/.cache/molting`."""
    if explicit := os.environ.get("MOLTING_CACHE"):
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "molting"


def model_size(source: ModelSource) -> tuple[int, int]:
    """Width of the hidden states and number of layers, from `config.json`; 0 where it does not say."""
    if source.folder is None:
        return FAKE_WIDTH, FAKE_LAYERS
    values = read_json(source.folder / "config.json")
    parts = (values, values.get("text_config") or {})

    def first(*names: str) -> int:
        there = (part[n] for part in parts for n in names if isinstance(part.get(n), int))
        return next(there, 0)

    return first("hidden_size", "n_embd", "d_model"), first("num_hidden_layers", "n_layer")


def find_model(
    spec: str, revision: str | None = None, progress: Progress | None = None
) -> ModelSource:
    """Resolve a short name, folder, GGUF file or Hub id.

    Raises ModelNotFound: one line with everything that was tried.
    """
    progress = progress or Silent()
    if spec == FAKE:
        return ModelSource(FAKE, None, "b2:fake-1", "shipped with Molting")
    path = Path(spec).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelNotFound(f"{spec}: no such GGUF file")
        return _from_gguf(spec, path, path.name, progress)
    if path.is_dir():
        return _from_folder(spec, path, "a local folder")
    if spec in CATALOGUE:
        return _from_catalogue(spec, revision, progress)
    if spec.count("/") == 1 and not spec.startswith((".", "/", "~")):
        tried: list[str] = []
        found = _from_hub(spec, spec, revision, tried)
        if found:
            return found
        raise ModelNotFound(f"base model {spec!r} was not found; tried: " + "; ".join(tried))
    close = difflib.get_close_matches(spec, CATALOGUE, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ModelNotFound(
        f"base model {spec!r} does not exist: no such folder or GGUF file, no Hub id "
        f"(`owner/name`), no short name; {hint}short names: " + ", ".join(CATALOGUE)
    )


def _from_catalogue(name: str, revision: str | None, progress: Progress) -> ModelSource:
    known = CATALOGUE[name]
    tried: list[str] = []
    if known.wheel:
        distribution, version, inside = known.wheel
        cached = cache_root() / "models" / f"{name}-{(known.sha256 or '')[:12]}"
        if (cached / MANIFEST).exists():
            return _from_folder(name, cached, f"the local cache ({distribution} {version})")
        tried.append(f"cache {cached}: not there")
        installed = _installed_file(inside)
        if installed:
            return _from_gguf(
                name,
                installed,
                f"the installed package {distribution}",
                progress,
                known.sha256,
                cached,
            )
        tried.append(f"installed package {distribution}: not there")
        found = _from_wheel(name, cached, progress, tried)
        if found:
            return found
    found = _from_hub(name, known.hub_id, revision, tried)
    if found:
        return found
    raise ModelNotFound(
        f"base model {name!r} was not found; tried: "
        + "; ".join(tried)
        + "; give a folder or a .gguf file as base.model instead"
    )


def _from_wheel(
    name: str, cached: Path, progress: Progress, tried: list[str]
) -> ModelSource | None:
    known = CATALOGUE[name]
    assert known.wheel is not None
    distribution, version, inside = known.wheel
    progress.say(f"fetching {name} from the package {distribution} {version} (93 MB, once) …")
    with tempfile.TemporaryDirectory(prefix="molting-") as temporary:
        extracted = from_wheel(distribution, version, inside, Path(temporary), tried)
        if extracted is None:
            return None
        return _from_gguf(
            name, extracted, f"the package {distribution} {version}", progress, known.sha256, cached
        )


def _from_gguf(
    name: str,
    path: Path,
    origin: str,
    progress: Progress,
    sha256: str | None = None,
    cached: Path | None = None,
) -> ModelSource:
    found = file_sha256(path)
    if sha256 and found != sha256:
        raise ModelNotFound(
            f"{path.name} from {origin} is damaged: sha256 {found}, expected {sha256}"
        )
    cached = cached or cache_root() / "models" / f"gguf-{found[:24]}"
    if not (cached / MANIFEST).exists():
        progress.say(f"converting {path.name} to safetensors (once, about 20 s) …")
        with atomic_folder(cached) as temporary:
            _convert_gguf(path, temporary)
            write_json(
                temporary / MANIFEST,
                {"source": path.name, "sha256": found, "origin": origin},
            )
    return _from_folder(name, cached, origin)


def _convert_gguf(path: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from molting.models.quiet import quiet

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32
            )
    except Exception as error:  # on a damaged file, the reader raises what it stumbles over
        raise ModelNotFound(f"{path}: cannot be read as a GGUF model: {one_line(error)}") from None
    # Marked as quantized, it would refuse to be saved; the tensors are plain by now.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict())
    with quiet():
        # float16 holds what 4-bit blocks with float16 scales dequantise to; bfloat16 would not.
        plain.to(torch.float16).save_pretrained(target)
        tokenizer.save_pretrained(target)


def _from_folder(name: str, folder: Path, origin: str) -> ModelSource:
    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{folder}: not a model folder (no config.json)")
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    if not files:
        raise ModelNotFound(f"{folder}: not a model folder (no *.safetensors)")
    if (index := folder / "model.safetensors.index.json").is_file():
        missing = set(read_json(index)["weight_map"].values()) - {file.name for file in files}
        if missing:
            raise ModelNotFound(f"{folder}: parts are missing: {', '.join(sorted(missing))}")
    digest = hashlib.blake2b(digest_size=16)
    for file in [folder / "config.json", *files]:
        digest.update(file_hash(file).encode())
    revision = None
    if (folder / MANIFEST).exists():
        revision = read_json(folder / MANIFEST).get("revision")
    return ModelSource(name, folder, "b2:" + digest.hexdigest(), origin, revision)


def _from_hub(name: str, hub_id: str, revision: str | None, tried: list[str]) -> ModelSource | None:
    def check(folder: Path) -> ModelSource:
        # The snapshot folder is named after the commit: that pins it.
        found = _from_folder(name, folder, f"the Hugging Face Hub ({hub_id})")
        return msgspec.structs.replace(found, revision=folder.name)

    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    found: ModelSource | None = from_hub(hub_id, revision, patterns, tried, check)
    return found
