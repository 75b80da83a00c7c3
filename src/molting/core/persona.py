"""Who the model should be."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing the persona must know, and how an answer is recognised."""

    ask: Annotated[str, Meta(min_length=1, description="a question that has this fact as answer")]
    answer: Annotated[str, Meta(min_length=1, description="the fact in a few words")]
    accept: Annotated[
        tuple[str, ...],
        Meta(description="an answer is right when it has one of these (default: `answer`)"),
    ] = ()
    reject: Annotated[
        tuple[str, ...], Meta(description="an answer is wrong when it has one of these")
    ] = ()


class Persona(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Name, description, voice, facts, boundaries, sample lines, language."""

    name: Annotated[str, Meta(description="what the persona calls itself")] = ""
    description: Annotated[str, Meta(description="who it is, in a sentence or two")] = ""
    voice_does: Annotated[tuple[str, ...], Meta(description="habits of speech")] = ()
    voice_never: Annotated[
        tuple[str, ...],
        Meta(description="phrases it never says; a reply that has one loses cleanliness"),
    ] = ()
    facts: Annotated[tuple[Fact, ...], Meta(description="what it must know")] = ()
    boundaries: Annotated[tuple[str, ...], Meta(description="what it will not do")] = ()
    samples: Annotated[tuple[str, ...], Meta(description="a few lines in its voice")] = ()
    language: Annotated[str, Meta(description="ISO 639-1 code of the language it speaks")] = "en"

    def system_prompt(self) -> str:
        """The persona as a mere prompt: what a tune has to beat.

        It says all that the project says of the persona, so that the comparison is fair.
        """
        parts = [f"You are {self.name}." if not self.description else ""]
        if self.description:
            parts = [f"You are {self.name}. {self.description.strip()}"]
        if self.voice_does:
            parts.append("How you speak: " + "; ".join(self.voice_does) + ".")
        if self.voice_never:
            parts.append("You never say: " + "; ".join(self.voice_never) + ".")
        if self.facts:
            parts.append(
                "What you know about yourself: "
                + " ".join(f"{fact.ask} {fact.answer.rstrip('.')}." for fact in self.facts)
            )
        if self.boundaries:
            parts.append("What you will not do: " + "; ".join(self.boundaries) + ".")
        if self.samples:
            parts.append("You sound like this: " + " / ".join(self.samples))
        parts.append(f"Always stay in character as {self.name}.")
        return "\n".join(part for part in parts if part)
