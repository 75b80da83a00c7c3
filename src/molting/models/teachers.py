"""Language models behind an API: OpenAI-compatible ones and Anthropic's, through httpx.

A key comes from an environment variable, goes into one header, and into nothing that is stored or
shown. Redirects are not followed, so that it goes nowhere else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from molting.core.errors import TeacherFailed, UsageError

Provider = Literal["auto", "openai", "anthropic"]
_TRIES = 4
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_LONGEST_PAUSE = 30.0
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class Teacher(Protocol):
    """Answers one prompt."""

    @property
    def id(self) -> str:
        """Names the model and where it is asked; part of the key of what is remembered."""

    def complete(self, system: str, prompt: str) -> str:
        """The answer's text. Raises TeacherFailed."""


class ApiTeacher:
    """A model behind an HTTP API, asked at temperature 0."""

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None,
        provider: Provider = "auto",
        timeout_seconds: float = 60.0,
        max_tokens: int = 256,
        transport: Any = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        httpx = _httpx()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{_plain(url)}: not an http(s) address")
        if parts.username or parts.password or parts.query:
            raise UsageError(
                f"{_plain(url)}: the address must hold no user, password or query; "
                "the key comes from an environment variable"
            )
        if key and parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise UsageError(f"{_plain(url)}: a key is not sent without https")
        anthropic = (parts.hostname or "").endswith("anthropic.com")
        self.provider = provider
        if provider == "auto":
            self.provider = "anthropic" if anthropic else "openai"
        self.model = model
        self.host = parts.hostname
        self._address = _address(url.rstrip("/"), self.provider)
        self.id = f"{self.provider} {self._address} {model} {max_tokens}"
        self._max_tokens = max_tokens
        self._limit_name = "max_tokens"
        headers = {"content-type": "application/json"}
        if self.provider == "anthropic":
            headers["anthropic-version"] = "2023-06-01"
        if key:
            name, value = (
                ("x-api-key", key)
                if self.provider == "anthropic"
                else ("authorization", f"Bearer {key}")
            )
            headers[name] = value
        self._hide: Callable[[str], str] = lambda text: text.replace(key, "…") if key else text
        self._client = httpx.Client(headers=headers, timeout=timeout_seconds, transport=transport)
        self._pause = pause

    def __repr__(self) -> str:
        return f"ApiTeacher({self.id})"

    def complete(self, system: str, prompt: str) -> str:
        httpx = _httpx()
        told = ""
        for attempt in range(_TRIES):
            try:
                answer = self._client.post(self._address, json=self._body(system, prompt))
            except httpx.HTTPError as error:
                told = f"{type(error).__name__}"
                self._pause(2.0**attempt)
                continue
            if answer.status_code == 200:
                return self._text(answer)
            told = f"HTTP {answer.status_code}{self._reason(answer)}"
            if answer.status_code == 400 and "max_completion_tokens" in told:
                # Newer models of OpenAI refuse the name that every other server knows.
                self._limit_name = "max_completion_tokens"
                continue
            if answer.status_code not in _AGAIN:
                raise TeacherFailed(f"{self.host}: {told}", final=True)
            self._pause(_wait(answer.headers.get("retry-after"), attempt))
        raise TeacherFailed(f"{self.host}: no answer after {_TRIES} tries ({told})")

    def _body(self, system: str, prompt: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "temperature": 0,
            self._limit_name: self._max_tokens,
            "messages": [{"role": "user", "content": prompt}],
        }
        if self.provider == "anthropic":
            return body | {"system": system}
        body["messages"].insert(0, {"role": "system", "content": system})
        return body

    def _text(self, answer: Any) -> str:
        try:
            value = answer.json()
            if self.provider == "anthropic":
                parts = [part["text"] for part in value["content"] if part["type"] == "text"]
                return "".join(parts)
            text = value["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            raise TeacherFailed(f"{self.host}: its answer is not what the API promises") from None
        if not isinstance(text, str):
            raise TeacherFailed(f"{self.host}: its answer holds no text")
        return text

    def _reason(self, answer: Any) -> str:
        try:
            error = answer.json()["error"]
            message = error["message"] if isinstance(error, dict) else error
        except (ValueError, KeyError, TypeError):
            return ""
        return f": {self._hide(' '.join(str(message).split())[:200])}"


def key_from(name: str) -> str | None:
    """The key in an environment variable; None when there is none (local servers need none)."""
    value = os.environ.get(name, "").strip()
    return value or None


def _address(url: str, provider: str) -> str:
    end = "/messages" if provider == "anthropic" else "/chat/completions"
    if url.endswith(end):
        return url
    if provider == "anthropic" and not url.endswith("/v1"):
        return f"{url}/v1{end}"
    return url + end


def _plain(url: str) -> str:
    """An address as it may be shown: without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _wait(told: str | None, attempt: int) -> float:
    try:
        return min(_LONGEST_PAUSE, max(0.0, float(told or "")))
    except ValueError:
        return float(2**attempt)


def _httpx() -> Any:
    try:
        import httpx
    except ImportError:
        raise UsageError(
            "httpx is not installed; pip install 'molting-lm[judge]' brings it"
        ) from None
    return httpx
