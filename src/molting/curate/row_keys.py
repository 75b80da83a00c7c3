"""Which format a raw row has, by its keys."""

from __future__ import annotations

from typing import Any, Literal

Format = Literal["messages", "sharegpt", "alpaca", "pairs"]

_PROMPTS = ("prompt", "question", "input", "query", "user", "context")
_REPLIES = ("response", "reply", "completion", "answer", "output", "assistant", "chosen")


def format_of(row: object) -> Format | None:
    """The format of one row by its keys, or None."""
    if not isinstance(row, dict):
        return None
    if "messages" in row:
        return "messages"
    if "conversations" in row or "conversation" in row:
        return "sharegpt"
    if "instruction" in row and ("output" in row or "response" in row):
        return "alpaca"
    return "pairs" if pair_keys(row) else None


def pair_keys(row: dict[str, Any]) -> tuple[str, str] | None:
    """The keys of a prompt and of a reply to it, or None."""
    lower = {str(key).strip().lower(): key for key in row}
    prompt = next((lower[key] for key in _PROMPTS if key in lower), None)
    reply = next((lower[key] for key in _REPLIES if key in lower and lower[key] != prompt), None)
    return (prompt, reply) if prompt is not None and reply is not None else None
