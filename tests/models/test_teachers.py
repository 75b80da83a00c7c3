"""API clients: what they send, when they ask again, and that a key is nowhere to be seen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from molting.core.errors import TeacherFailed, UsageError
from molting.models.teachers import ApiTeacher, key_from

httpx = pytest.importorskip("httpx")

KEY = "sk-very-secret-0123456789"


def teacher(answers: list[Any], url: str = "https://api.example/v1", **more: Any) -> Any:
    """A teacher whose server gives `answers` in turn, the requests it saw, and its pauses."""
    seen: list[Any] = []
    pauses: list[float] = []

    def serve(request: Any) -> Any:
        seen.append(request)
        answer = answers[min(len(seen), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    made = ApiTeacher(
        url, "m-1", more.pop("key", KEY), transport=httpx.MockTransport(serve),
        pause=pauses.append, **more,
    )  # fmt: skip
    return made, seen, pauses


def said(text: Any) -> Any:
    return httpx.Response(200, json={"choices": [{"message": {"content": text}}]})


def test_an_openai_compatible_server() -> None:
    made, seen, pauses = teacher([said("hello")])
    assert made.complete("be fair", "judge") == "hello"
    (request,) = seen
    assert str(request.url) == "https://api.example/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    body = json.loads(request.content)
    assert body["messages"] == [
        {"role": "system", "content": "be fair"},
        {"role": "user", "content": "judge"},
    ]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m-1", 0, 256)
    assert pauses == []


def test_anthropics_server() -> None:
    answer = {"content": [{"type": "thinking", "x": 1}, {"type": "text", "text": "hello"}]}
    made, seen, _ = teacher([httpx.Response(200, json=answer)], "https://api.anthropic.com")
    assert made.complete("be fair", "judge") == "hello"
    (request,) = seen
    assert str(request.url) == "https://api.anthropic.com/v1/messages"
    assert request.headers["x-api-key"] == KEY
    assert "authorization" not in request.headers
    body = json.loads(request.content)
    assert body["system"] == "be fair"
    assert [m["role"] for m in body["messages"]] == ["user"]


def test_a_local_server_needs_no_key() -> None:
    made, seen, _ = teacher([said("x")], "http://127.0.0.1:8000/v1", key=None)
    assert made.complete("", "") == "x"
    assert "authorization" not in seen[0].headers


def test_busy_servers_are_asked_again_and_told_waits_are_kept() -> None:
    made, seen, pauses = teacher(
        [
            httpx.Response(429, headers={"retry-after": "7"}),
            httpx.ConnectTimeout("slow"),
            said("hello"),
        ]
    )
    assert made.complete("", "") == "hello"
    assert (len(seen), pauses) == (3, [7.0, 2.0])
    made, seen, _ = teacher([httpx.Response(503)])
    with pytest.raises(TeacherFailed, match="no answer after 4 tries") as caught:
        made.complete("", "")
    assert (len(seen), caught.value.final) == (4, False)


def test_a_name_that_new_models_refuse_is_changed_once() -> None:
    told = {"error": {"message": "Unsupported: use max_completion_tokens"}}
    made, seen, _ = teacher([httpx.Response(400, json=told), said("hello")])
    assert made.complete("", "") == "hello"
    assert "max_completion_tokens" in json.loads(seen[1].content)
    assert "max_tokens" not in json.loads(seen[1].content)


def test_no_key_is_shown_stored_or_sent_elsewhere() -> None:
    told = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    made, seen, _ = teacher([httpx.Response(401, json=told)])
    with pytest.raises(TeacherFailed, match="HTTP 401") as caught:
        made.complete("", "")
    assert caught.value.final
    shown = f"{caught.value} {made!r} {made.id} {made.host} {vars(made).keys()}"
    assert KEY not in shown
    away = httpx.Response(307, headers={"location": "https://elsewhere.example/"})
    made, seen, _ = teacher([away])
    with pytest.raises(TeacherFailed, match="HTTP 307"):
        made.complete("", "")
    assert [request.url.host for request in seen] == ["api.example"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("api.example/v1", "not an http"),
        ("ftp://api.example", "not an http"),
        (f"https://me:{KEY}@api.example/v1", "no user, password or query"),
        (f"https://api.example/v1?key={KEY}", "no user, password or query"),
        ("http://api.example/v1", "without https"),
    ],
)
def test_addresses_that_would_leak_are_refused(url: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        ApiTeacher(url, "m", KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json=[]),
        said(None),
    ],
)
def test_what_is_no_answer_is_a_failure(answer: Any) -> None:
    made, _, _ = teacher([answer])
    with pytest.raises(TeacherFailed):
        made.complete("", "")


def test_a_key_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", f" {KEY}\n")
    assert key_from("SOME_KEY") == KEY
    monkeypatch.setenv("SOME_KEY", " ")
    assert key_from("SOME_KEY") is None
    assert key_from("NO_SUCH_KEY") is None
