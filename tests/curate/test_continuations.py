from __future__ import annotations

from molting.core.conversation import Conversation, Source, Turn
from molting.curate.continuations import continuations
from molting.curate.grouping import leak_groups, leaks

NET = ("Who mended the big net after the storm?", "Old Brannoch did, with tarred twine.")
BOAT = ("And what of the little boat?", "Past mending, that one. We burnt it for the herring.")
PAY = ("Is he paid for such work?", "In gossip, and a barrel of ale at midsummer.")
SHOP = ("When does your shop open its doors?", "When the tide lets me out, at nine or so.")


def chat(*exchanges: tuple[str, str], line: int = 1) -> Conversation:
    turns = [
        turn for asked, said in exchanges for turn in (Turn("user", asked), Turn("assistant", said))
    ]
    return Conversation(tuple(turns), Source("a.jsonl", line))


def test_chats_that_begin_alike_are_tied() -> None:
    rows = [chat(NET, BOAT), chat(SHOP, PAY), chat(NET, PAY), chat(NET)]
    # A continuation is one side's whole chat, whatever the replies and prompts as a whole are like.
    assert continuations(rows) == [(0, 2, 3)]
    assert leak_groups(rows, 0.7) == [0, 1, 0, 0]


def test_the_same_exchanges_in_another_order_are_tied() -> None:
    assert continuations([chat(NET, SHOP), chat(SHOP, NET), chat(BOAT, PAY)]) == [(0, 1)]


def test_single_exchanges_are_left_to_prompts_and_replies() -> None:
    assert continuations([chat(NET), chat(NET), chat(SHOP)]) == []
    assert continuations([]) == []


def test_a_beginning_that_a_tenth_of_the_set_shares_is_its_habit() -> None:
    def others(count: int) -> list[Conversation]:
        return [
            chat((f"What of rock {n}?", f"Rock {n} has {n * 7} limpets."), PAY)
            for n in range(count)
        ]

    four = [
        chat(NET, BOAT),
        chat(NET, PAY),
        chat(NET, SHOP),
        chat(NET, ("Aye?", "Aye, so they say.")),
    ]
    ties = [tied for tied in continuations([*four, *others(6)]) if tied[0] == 0]
    assert ties == []
    ties = [tied for tied in continuations([*four, *others(60)]) if tied[0] == 0]
    assert ties == [(0, 1, 2, 3)]
    # Where one chat ends with that beginning, the others continue it, however many they are.
    assert (0, 1, 2, 3, 4) in continuations([*four, chat(NET), *others(6)])


def test_a_chat_that_continues_a_held_out_one_leaks() -> None:
    rows = [chat(SHOP, BOAT), chat(NET, PAY), chat(PAY, BOAT)]
    held_out = [chat(NET, BOAT)]
    found = leaks(rows, held_out, 0.7)
    assert [(leak.left, leak.right, leak.by, leak.exact) for leak in found] == [
        (1, 0, "chat", False)
    ]
