"""`molting blind-ab`: people vote in the terminal or on a page, and do not know on whom."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from molting.core.artifacts import read_json


@pytest.fixture
def root(finished: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.root, tmp_path / "project"))


def sheet(root: Path) -> Any:
    return read_json(root / ".molting" / "molts" / "1" / "blind.json")


def test_votes_in_the_terminal_are_kept_one_by_one(molting: Any, root: Path) -> None:
    done = molting("blind-ab", root, "--voter", "ann", "--json", stdin="a\nx\nb\nu\nt\nq\n")
    assert done.code == 0, done.err
    assert done.json["votes"] == 2
    assert done.json["voters"] == {"ann": 2}
    assert done.json["ties"] == 1
    assert "a, b, t for no difference" in done.err
    # The systems are nowhere told.
    assert not any(word in done.err for word in ("tuned", "base", "prompted"))
    total = done.json["items"]
    done = molting("blind-ab", root, "--voter", "ann", "--json", stdin="a\n" * total)
    assert done.json["votes"] == total
    assert f"3 of {total}" in done.err
    shown = molting("show", root, "--json").json
    assert shown["people"]["votes"] == total
    assert "people       prefer the tune" in molting("show", root).out


def test_a_page_tells_nothing_and_its_votes_come_back(
    molting: Any, root: Path, tmp_path: Path
) -> None:
    page = tmp_path / "sheet.html"
    done = molting("blind-ab", root, "--page", page, "--json")
    assert done.code == 0, done.err
    text = page.read_text("utf-8")
    kept = sheet(root)
    assert kept["id"] in text
    assert all(item["id"] in text for item in kept["items"])
    assert not any(word in text for word in ("tuned", "prompted", "rival", str(kept["seed"])))
    sides = [item["tuned_is"] for item in kept["items"]]
    assert {"left", "right"} == set(sides)
    # Nobody meets the tune's reply to a prompt twice, and both rivals have their turn.
    prompts = [json.dumps(item["pair"]["prompt"]) for item in kept["items"]]
    assert len(set(prompts)) == len(prompts)
    assert {item["pair"]["rival"] for item in kept["items"]} == {"base", "prompted"}
    # Sides are drawn anew each time. Bob errs on the side that is drawn more often: on the other his
    # errors could, on a lopsided sheet, be worse than chance.
    often = max(("left", "right"), key=sides.count)
    erring = [i for i, side in enumerate(sides) if side == often][:2]
    other = {"left": "right", "right": "left"}
    for voter, wrong in (("ann", []), ("bob", erring)):
        file = tmp_path / f"{voter}.json"
        votes = [
            [item["id"], other[side] if i in wrong else side]
            for i, (item, side) in enumerate(zip(kept["items"], sides, strict=True))
        ]
        file.write_text(json.dumps({"sheet": kept["id"], "voter": voter, "votes": votes}))
    done = molting(
        "blind-ab",
        root,
        "--votes",
        tmp_path / "ann.json",
        "--votes",
        tmp_path / "bob.json",
        "--json",
    )
    assert done.code == 0, done.err
    found = done.json
    assert found["votes"] == 2 * len(sides)
    rates = [won["value"] for won in found["wins_over"].values() if won["value"] is not None]
    assert sum(rates) / len(rates) > 0.8
    assert 0 < found["between_voters"][0]["kappa"]["value"] < 1
    assert found["agreement_with_voice"]["share"]["n"] >= 1
    # Taken in again, nothing changes.
    assert molting("blind-ab", root, "--votes", tmp_path / "ann.json", "--json").json == found
    assert sheet(root) == kept


def test_a_reply_cannot_break_out_of_the_page() -> None:
    from molting.core.conversation import Turn
    from molting.evaluate.blind import Sheet, SheetItem, blind_page
    from molting.evaluate.comparisons import Pair

    nasty = "</script><img src=x onerror=alert(1)>\u2028<!--"
    pair = Pair((Turn("user", nasty),), "base", nasty, "fine")
    text = blind_page(Sheet("s", 1, "b2:", 0, (SheetItem("i", pair, "left"),)), "A & <b>B</b>")
    assert text.count("</script>") == 2
    assert "<img" not in text
    assert "<b>B" not in text
    raw = text.split('type="application/json">')[1].split("</script>")[0]
    assert json.loads(raw)["items"][0]["sides"] == [nasty, "fine"]


@pytest.mark.parametrize(
    ("ballot", "told"),
    [
        ("{", "no votes"),
        ('{"sheet": "x", "voter": "a", "votes": []}', "the replies have changed since"),
        ('{"sheet": "SHEET", "voter": "a", "votes": [["nobody", "left"]]}', "no item 'nobody'"),
        ('{"sheet": "SHEET", "voter": "a", "votes": [["ITEM", "both"]]}', "no votes"),
        ('{"sheet": "SHEET", "voter": " ", "votes": [["ITEM", "left"]]}', "has no name"),
    ],
)
def test_a_bad_ballot_is_one_line_and_no_vote(
    ballot: str, told: str, molting: Any, root: Path, tmp_path: Path
) -> None:
    molting("blind-ab", root, "--report")
    kept = sheet(root)
    file = tmp_path / "votes.json"
    file.write_text(ballot.replace("SHEET", kept["id"]).replace("ITEM", kept["items"][0]["id"]))
    done = molting("blind-ab", root, "--votes", file)
    assert (done.code, told in done.line) == (2, True)
    assert molting("blind-ab", root, "--report", "--json").json["votes"] == 0
    assert molting("blind-ab", root, "--report", "--votes", file).code == 2


def test_evaluate_has_it_too(molting: Any, root: Path, tmp_path: Path) -> None:
    done = molting("evaluate", root, "--blind-ab", "--json", stdin="a\nq\n")
    assert done.code == 0, done.err
    assert done.json["voters"] == {"voter": 1}
    done = molting("evaluate", root, "--blind-ab", "--replies", tmp_path / "x.jsonl")
    assert (done.code, "molt's own replies" in done.line) == (2, True)
