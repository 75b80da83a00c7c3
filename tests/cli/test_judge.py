"""`molting judge` on a finished project: written with the molt, shown beside the score."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from molting.evaluate.fake_judges import FAKE_JUDGES


@pytest.fixture
def root(finished: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.root, tmp_path / "project"))


def test_a_fair_judge_is_shown_and_asked_once(molting: Any, root: Path) -> None:
    assert molting("show", root, "--json").json["judge"] is None
    done = molting("judge", root, "--fake", "fair", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["calibration"]["passed"]
    assert found["judge"] == {"provider": "fake", "model": "fair", "host": None}
    assert found["calls"]["failed"] == found["calls"]["unreadable"] == 0
    assert found["agreement_with_voice"]["share"]["n"] == found["prompts"]
    again = molting("judge", root, "--fake", "fair", "--json").json
    assert (again["calls"]["made"], again["grades"]) == (0, found["grades"])
    shown = molting("show", root, "--json").json
    assert shown["judge"]["headline"] == found["headline"]
    assert "judge        fair: prefers the tune to the base" in molting("show", root).out
    # The score is what it was.
    assert "judge" not in shown["personality"]
    with (root / ".molting" / "molts" / "1" / "transcripts.jsonl").open("a") as file:
        file.write(" ")
    assert molting("show", root, "--json").json["judge"] is None


def test_a_flatterer_fails_the_check_and_is_not_quoted(molting: Any, root: Path) -> None:
    done = molting("judge", root, "--fake", "sycophant", "--json")
    assert done.code == 1
    assert "known-bad replies good" in done.line
    assert done.json["headline"] is None
    assert "failed its test, so what it says is not shown" in molting("show", root).out


def test_what_is_wrong_is_one_line(
    molting: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = molting("judge", root)
    assert (done.code, "--url and --model" in done.line) == (2, True)
    done = molting("judge", root, "--fake", "kind")
    assert (done.code, "no fake judge 'kind'" in done.line) == (2, True)
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    done = molting("judge", root, "--url", "https://x.example/v1", "--model", "m")
    assert (done.code, "molting-lm[judge]" in done.line) == (2, True)


def test_a_server_is_asked_and_the_key_is_nowhere(
    molting: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpx")
    key, seen = "sk-nobody-may-read-this", []
    judge = FAKE_JUDGES["fair"]()

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append((self.path, self.headers["authorization"], body["model"]))
            system, user = (message["content"] for message in body["messages"])
            text = judge.complete(system, user)
            raw = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("SOME_KEY", key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = molting(
            "judge", root, "--url", f"http://127.0.0.1:{server.server_port}/v1", "--model", "m-1",
            "--key-env", "SOME_KEY", "--prompts", 4, "--json",
        )  # fmt: skip
        server.shutdown()
    assert done.code == 0, done.err
    assert done.json["judge"] == {"provider": "openai", "model": "m-1", "host": "127.0.0.1"}
    assert len(seen) == done.json["calls"]["made"] == 2 * (2 * 4 + 24)
    assert set(seen) == {("/v1/chat/completions", f"Bearer {key}", "m-1")}
    for file in root.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes(), file
    assert key not in done.out + done.err
