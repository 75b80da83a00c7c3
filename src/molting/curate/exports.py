"""Conversations to files that other trainers load without edits. Nothing is lost silently.

messages   {"messages": [{"role", "content"}, …]}              JSON Lines, or a JSON list (.json)
sharegpt   {"conversations": [{"from", "value"}, …]}           likewise; `from` is system, user or
           assistant: TRL renames the keys and leaves the names, so that `human` and `gpt` would
           reach the chat template as roles that no model knows
alpaca     {"instruction", "input", "output", "history", "system"}, and the same once more as
           {"prompt", "completion"} for TRL, which knows no Alpaca
parquet    the column `messages`

Beside the file stands LLaMA-Factory's `dataset_info.json` with an entry for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from molting.core.artifacts import atomic_write, read_json, write_bytes, write_json
from molting.core.conversation import Conversation, Turn, as_messages
from molting.core.errors import InputError, UsageError
from molting.curate.formats import merge_turns

ExportFormat = Literal["messages", "sharegpt", "alpaca", "parquet"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
SUFFIXES: Mapping[ExportFormat, tuple[str, ...]] = {
    "messages": (".jsonl", ".ndjson", ".json"),
    "sharegpt": (".jsonl", ".ndjson", ".json"),
    "alpaca": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet",),
}
"""How a file of a format may be called; each reader, ours and theirs, goes by the ending."""
REASONS = {
    "no_reply": "has no assistant turn",
    "reply_first": "begins with an assistant turn",
    "later_system": "has a system turn that is not the first",
    "unanswered_turn": "its last user turn, which nobody answers, was left out",
    "blank_system": "its system turn, which is blank, was left out",
}
"""What ShareGPT and Alpaca cannot hold (LLaMA-Factory skips such rows). A closed list."""
CAUTIONS = {
    "skipped_by_llamafactory": "LLaMA-Factory skips them: user and assistant do not alternate from "
    "a user turn to an assistant turn",
    "history_not_read": "Axolotl and Unsloth read no `history` in Alpaca rows, so these lose their "
    "earlier turns there; export messages for them",
}
"""What a file holds and a trainer leaves out all the same. A closed list."""
DATASET_INFO = "dataset_info.json"


class Exported(msgspec.Struct, frozen=True):
    """What was written. rows + sum(left_out) = conversations that came in."""

    file: str
    format: ExportFormat
    rows: int
    left_out: Mapping[str, int]
    """Rows that the format cannot hold, by reason (REASONS)."""
    shortened: Mapping[str, int]
    """Rows written without a turn that the format cannot hold, by reason."""
    cautions: Mapping[str, int]
    """Rows written that some trainer will not take whole, by reason (CAUTIONS)."""


def held(
    conversation: Conversation, format: ExportFormat
) -> tuple[Conversation | None, tuple[str, ...]]:
    """What the format holds of a conversation, and the reasons where that is not all of it.

    Neighbouring turns of one role are one turn, as `read_file` reads them.
    """
    turns = merge_turns(conversation.turns)
    if format in ("messages", "parquet"):
        return Conversation(turns, conversation.source), ()
    reasons: list[str] = []
    system, rest = (turns[:1], turns[1:]) if turns and turns[0].role == "system" else ((), turns)
    refused = _refused(rest)
    if refused:
        return None, (refused,)
    if rest[-1].role == "user":
        rest = rest[:-1]
        reasons.append("unanswered_turn")
    if format == "alpaca" and system and not system[0].text.strip():
        system = ()
        reasons.append("blank_system")
    return Conversation((*system, *rest), conversation.source), tuple(reasons)


def export_rows(
    conversations: Iterable[Conversation], path: Path, format: ExportFormat
) -> Exported:
    """Write the file and its entry in `dataset_info.json`, each atomically.

    Raises UsageError when the file's ending does not fit the format or nothing can be written.
    """
    if format not in FORMATS:
        raise UsageError(f"--format {format}: there are {', '.join(FORMATS)}")
    if path.suffix.lower() not in SUFFIXES[format]:
        raise UsageError(f"{path}: a {format} file ends in {' or '.join(SUFFIXES[format])}")
    if path.name == DATASET_INFO:
        raise UsageError(f"{path}: that name is LLaMA-Factory's list of files; give another")
    kept: list[Conversation] = []
    left_out: Counter[str] = Counter()
    shortened: Counter[str] = Counter()
    for conversation in conversations:
        what, reasons = held(conversation, format)
        if what is None:
            left_out.update(reasons)
        else:
            kept.append(what)
            shortened.update(reasons)
    if not kept:
        why = "; ".join(f"{count} {REASONS[reason]}" for reason, count in left_out.items())
        raise UsageError(f"{path}: no row can be written as {format} ({why or 'there are none'})")
    info = _dataset_info(path, format)
    if format == "parquet":
        atomic_write(path, lambda temporary: _write_parquet(kept, temporary))
    else:
        make = {"messages": message_row, "sharegpt": sharegpt_row, "alpaca": alpaca_row}[format]
        write_bytes(path, _json([make(row) for row in kept], path.suffix.lower() == ".json"))
    write_json(path.parent / DATASET_INFO, info)
    made = (path.as_posix(), format, len(kept), dict(left_out), dict(shortened))
    return Exported(*made, _cautions(kept, format))


def message_row(row: Conversation) -> dict[str, Any]:
    return {"messages": row.messages}


def sharegpt_row(row: Conversation) -> dict[str, Any]:
    return {"conversations": [{"from": t.role, "value": t.text} for t in row.turns]}


def alpaca_row(row: Conversation) -> dict[str, Any]:
    """The last exchange is the instruction, the earlier ones are the history."""
    system = row.turns[0].text if row.turns[0].role == "system" else ""
    said = row.turns[1:] if row.turns[0].role == "system" else row.turns
    texts = [turn.text for turn in said]
    return {
        "instruction": texts[-2],
        "input": "",
        "output": texts[-1],
        "history": [[texts[i], texts[i + 1]] for i in range(0, len(texts) - 2, 2)],
        "system": system,
        "prompt": as_messages(row.turns[:-1]),
        "completion": as_messages(row.turns[-1:]),
    }


def dataset_entry(name: str, format: ExportFormat) -> dict[str, Any]:
    """LLaMA-Factory's description of a file: which columns and tags to read."""
    if format == "alpaca":
        columns = {"prompt": "instruction", "query": "input", "response": "output",
                   "system": "system", "history": "history"}  # fmt: skip
        return {"file_name": name, "formatting": "alpaca", "columns": columns}
    listed = format == "sharegpt"
    return {
        "file_name": name,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations" if listed else "messages"},
        "tags": {
            "role_tag": "from" if listed else "role",
            "content_tag": "value" if listed else "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }


def _cautions(rows: Sequence[Conversation], format: ExportFormat) -> dict[str, int]:
    skipped = sum(held(row, "sharegpt") != (row, ()) for row in rows)
    long = sum(len(row.replies) > 1 for row in rows) if format == "alpaca" else 0
    counts = {"skipped_by_llamafactory": skipped, "history_not_read": long}
    return {reason: count for reason, count in counts.items() if count}


def _refused(turns: Sequence[Turn]) -> str | None:
    if not any(turn.role == "assistant" for turn in turns):
        return "no_reply"
    if any(turn.role == "system" for turn in turns):
        return "later_system"
    return "reply_first" if turns[0].role == "assistant" else None


def _dataset_info(path: Path, format: ExportFormat) -> dict[str, Any]:
    """The list beside the file, with this file's entry; other entries stay."""
    info = path.parent / DATASET_INFO
    known: dict[str, Any] = {}
    if info.exists():
        try:
            known = msgspec.convert(read_json(info), dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise InputError("is no JSON object of data sets; move it away", file=info) from None
    other = known.get(path.stem)
    # a.jsonl and a.parquet are two data sets.
    taken = isinstance(other, dict) and other.get("file_name") != path.name
    name = path.name if taken else path.stem
    return known | {name: dataset_entry(path.name, format)}


def _json(rows: Sequence[dict[str, Any]], as_list: bool) -> bytes:
    lines = [msgspec.json.encode(row) for row in rows]
    if as_list:
        return b"[\n" + b",\n".join(lines) + b"\n]\n"
    return b"".join(line + b"\n" for line in lines)


def _write_parquet(rows: Sequence[Conversation], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    table = pa.table({"messages": pa.array([row.messages for row in rows], pa.list_(turn))})
    pq.write_table(table, path, compression="zstd")
