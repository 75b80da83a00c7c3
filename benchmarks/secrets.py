"""Secrets and personal data planted in real chat text: how many are found, and what else is.

    pip download --no-deps chitchat-dataset==0.9.0 -d /tmp/chitchat
    python -m benchmarks.secrets --wheel /tmp/chitchat/chitchat_dataset-0.9.0-py3-none-any.whl
    python -m benchmarks.secrets --unplanted 60000      # list what is found in text as people wrote it

Carriers are turns of `../shared/data/personas` (model-written and literary) and of chitchat-dataset
(people talking; MIT, BYU), neither of which ships. Formats come from `benchmarks.planted`, half of
them held back while the rules were tuned (`held`); with Faker and phonenumberslite installed their
own formats are planted as well (`foreign`). An item counts as found when every character of it is
covered; a find counts as right when it touches the item planted in that text. Whatever is found in
text as people wrote it counts as wrong here, and is listed so that one can judge.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import zipfile
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path

from benchmarks.planted import FORMATS, half, plant
from benchmarks.planted_keys import Format
from molting.signals.noise import Hit
from molting.signals.secrets import find_secrets, redact

PERSONAS = Path("../shared/data/personas")


def persona_turns(folder: Path) -> list[str]:
    """Every distinct turn of every persona file."""
    texts: dict[str, None] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            for message in json.loads(line)["messages"]:
                texts[message["content"]] = None
    return list(texts)


def chitchat_turns(wheel: Path) -> list[str]:
    """Every turn of people's conversations, messages sent in a row joined by line breaks."""
    with zipfile.ZipFile(wheel) as file:
        raw = json.loads(file.read("chitchat_dataset/dataset.json"))
    return [
        "\n".join(message["text"] for message in turn)
        for _, conversation in sorted(raw.items())
        for turn in conversation["messages"]
    ]


def place(carrier: str, marked: str, r: random.Random) -> tuple[str, int, int]:
    """The item between two words of the carrier, sometimes in brackets or before a full stop."""
    item, start, end = plant(marked)
    words = carrier.split(" ")
    at = r.randint(0, len(words))
    before, after = " ".join(words[:at]), " ".join(words[at:])
    opening, closing = r.choice(
        [("", ""), ("", ""), ("", "."), ("(", ")"), ("", ","), ("\n", "\n")]
    )
    if "\n" in item:
        opening, closing = "\n", "\n"
    head = f"{before} {opening}" if before else opening
    return f"{head}{item}{closing} {after}".rstrip(), len(head) + start, len(head) + end


def foreign() -> dict[str, dict[str, Format]]:
    """Formats of Faker's locales and of Google's phone metadata, where those are installed."""
    found: dict[str, dict[str, Format]] = defaultdict(dict)
    try:
        phonenumbers = import_module("phonenumbers")
    except ImportError:
        print("phonenumberslite is not installed: its formats are left out", file=sys.stderr)
    else:
        styles = phonenumbers.PhoneNumberFormat

        def number(region: str, style: int, prefix: str, kind: int) -> Format:
            def make(r: random.Random) -> str:
                example = phonenumbers.example_number_for_type(region, kind)
                said = phonenumbers.format_number(example, style)
                # Another number of the same shape: the last four digits are drawn.
                places = [i for i, c in enumerate(said) if c.isdigit()][-4:]
                letters = list(said)
                for i in places:
                    letters[i] = str(r.randint(1, 9))
                return f"{prefix}⟦{''.join(letters)}⟧"

            return make

        for region in sorted(phonenumbers.SUPPORTED_REGIONS):
            for kind in (
                phonenumbers.PhoneNumberType.MOBILE,
                phonenumbers.PhoneNumberType.FIXED_LINE,
            ):
                if phonenumbers.example_number_for_type(region, kind) is None:
                    continue
                name = f"{region} {kind}"
                found["phone, international"][name] = number(region, styles.INTERNATIONAL, "", kind)
                found["phone, E.164"][name] = number(region, styles.E164, "", kind)
                found["phone, national with a label"][name] = number(
                    region, styles.NATIONAL, "my number is ", kind
                )
                found["phone, national alone"][name] = number(region, styles.NATIONAL, "", kind)
    try:
        Faker = import_module("faker").Faker
        locales = import_module("faker.config").AVAILABLE_LOCALES
    except ImportError:
        print("faker is not installed: its formats are left out", file=sys.stderr)
        return found

    def fake(locale: str, method: str, prefix: str = "") -> Format | None:
        try:
            source = Faker(locale)
            getattr(source, method)()
        except (AttributeError, ModuleNotFoundError):
            return None

        def make(r: random.Random) -> str:
            source.seed_instance(r.randrange(2**31))
            return f"{prefix}⟦{' '.join(str(getattr(source, method)()).split())}⟧"

        return make

    latin = [
        "en_US",
        "en_GB",
        "en_CA",
        "en_AU",
        "en_IN",
        "de_DE",
        "de_AT",
        "de_CH",
        "fr_FR",
        "es_ES",
        "it_IT",
        "nl_NL",
        "pt_BR",
        "pl_PL",
        "sv_SE",
    ]
    for locale in sorted(set(locales)):
        for kind, method in (
            ("iban", "iban"),
            ("phone, Faker", "phone_number"),
            ("email", "ascii_safe_email"),
        ):
            made = fake(locale, method)
            if made:
                found[kind][locale] = made
        for kind, method in (("national id alone", "ssn"),):
            made = fake(locale, method)
            if made:
                found[kind][locale] = made
    for locale in latin:
        made = fake(locale, "street_address")
        if made:
            found["street address alone"][locale] = made
    for kind, methods in {
        "card_number": ["credit_card_number"],
        "ip_address": ["ipv4_public", "ipv6"],
        "mac_address": ["mac_address"],
    }.items():
        for method in methods:
            made = fake("en_US", method)
            if made:
                found[kind][method] = made
    return found


def measure(
    name: str,
    formats: dict[str, dict[str, Format]],
    carriers: list[str],
    each: int,
    seed: int,
    shown: int,
) -> None:
    """Plant `each` items of every format, each in a text of its own, and print what was found."""
    r = random.Random(seed)
    planted: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    named: Counter[str] = Counter()
    missed: list[str] = []
    right = other = unstable = 0
    others: Counter[tuple[str, str]] = Counter()
    for kind, group in formats.items():
        for form, make in group.items():
            for _ in range(each):
                text, start, end = place(r.choice(carriers), make(r), r)
                hits = find_secrets(text)
                planted[kind] += 1
                if all(
                    any(h.start <= i < h.end for h in hits)
                    for i in range(start, end)
                    if not text[i].isspace()
                ):
                    covered[kind] += 1
                else:
                    missed.append(
                        f"{kind}/{form}: {text[max(0, start - 25) : end + 15]!r} {_said(text, hits)}"
                    )
                touching = [h for h in hits if h.start < end and start < h.end]
                named[kind] += any(h.kind == kind for h in touching)
                right += len(touching)
                for hit in hits:
                    if hit not in touching:
                        other += 1
                        others[hit.kind, text[max(0, hit.start - 20) : hit.end + 10]] += 1
                clean = redact(text).text
                unstable += bool(find_secrets(clean)) or redact(clean).text != clean
    total, found = sum(planted.values()), sum(covered.values())
    print(
        f"{name}: {found} of {total} items found whole, recall {found / total:.4f}; precision "
        f"{right / max(1, right + other):.4f} ({right} finds touch an item, {other} do not); the right "
        f"kind {sum(named.values()) / total:.3f}; redacted texts with a find left or changed by a second "
        f"redaction: {unstable}"
    )
    for kind in sorted(planted):
        print(
            f"    {kind:32} {covered[kind]:5} of {planted[kind]:5}  {covered[kind] / planted[kind]:.3f}"
        )
    for line in missed[:shown]:
        print("  missed", line)
    for (kind, said), _ in others.most_common(shown):
        print("  other", kind, repr(said))


def unplanted(texts: list[str], shown: int) -> None:
    """What is found in text as people wrote it, for a person to judge."""
    begun = time.process_time()
    found = [(text, hit) for text in texts for hit in find_secrets(text)]
    seconds = time.process_time() - begun
    characters = sum(map(len, texts))
    print(
        f"unplanted: {len(found)} finds in {len(texts)} turns ({characters:,} characters, "
        f"{characters / seconds / 1e6:.2f} million a second, {1e6 * seconds / len(texts):.0f} µs a turn)"
    )
    for text, hit in found[:shown]:
        around = text[max(0, hit.start - 30) : hit.start] + "⟦" + text[hit.start : hit.end] + "⟧"
        print(f"    {hit.kind:14} {(around + text[hit.end : hit.end + 20])!r}")


def _said(text: str, hits: list[Hit]) -> str:
    return str([(h.kind, text[h.start : h.end]) for h in hits])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--personas", type=Path, default=PERSONAS)
    parser.add_argument("--wheel", type=Path, help="chitchat_dataset-0.9.0-py3-none-any.whl")
    parser.add_argument("--each", type=int, default=20, help="items for each format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shown", type=int, default=40, help="misses and finds to list")
    parser.add_argument("--half", choices=["tuned", "held", "foreign"], action="append")
    parser.add_argument("--unplanted", type=int, help="only list finds in so many real turns")
    options = parser.parse_args()
    carriers: list[str] = []
    if options.personas.exists():
        carriers += persona_turns(options.personas)
    if options.wheel and options.wheel.exists():
        carriers += chitchat_turns(options.wheel)
    if not carriers:
        print("no carriers: this benchmark needs data that does not ship", file=sys.stderr)
        return 2
    random.Random(options.seed).shuffle(carriers)
    if options.unplanted:
        unplanted(carriers[: options.unplanted], options.shown)
        return 0
    carriers = [text for text in carriers if 2 <= len(text.split()) <= 120][:20000]
    for name in options.half or ["tuned", "held", "foreign"]:
        if name == "foreign":
            formats = foreign()
            measure(
                name, formats, carriers, max(1, options.each // 10), options.seed, options.shown
            )
            continue
        formats = {
            kind: {form: make for form, make in group.items() if half(kind, form) == name}
            for kind, group in FORMATS.items()
        }
        measure(name, formats, carriers, options.each, options.seed, options.shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
