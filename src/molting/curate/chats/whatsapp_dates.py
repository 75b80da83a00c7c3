"""The dates of a WhatsApp export: every phone writes those of its own country.

The order of day and month is a property of the file, found from all its dates together.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

Order = Literal["day/month/year", "month/day/year", "year/month/day"]

_AM = r"[aA]\.?\s?[mM]\.?|上午|午前|오전|π\.?μ\.?"
_PM = r"[pP]\.?\s?[mM]\.?|下午|午後|오후|μ\.?μ\.?"
_DATE = r"(?P<a>\d{1,4})(?P<s>[./-])\s?(?P<b>\d{1,2})(?P=s)\s?(?P<c>\d{1,4})\.?"
_TIME = (
    rf"(?:(?P<before>{_AM}|{_PM})\s?)?(?P<h>\d{{1,2}})[:.](?P<m>\d\d)(?:[:.](?P<sec>\d\d))?"
    rf"(?:\s?(?P<after>{_AM}|{_PM}))?"
)
_BETWEEN = r",?\s+(?:(?:klo|kl\.?|at|um|às|alle|o)\s)?"
STYLES = {
    # 12/01/2023, 09:15 - Ana: text
    "android": re.compile(rf"{_DATE}{_BETWEEN}{_TIME}\s[-–—]\s(?P<rest>.*)"),
    # [12/01/2023, 09:15:32] Ana: text
    "ios": re.compile(rf"\[{_DATE}{_BETWEEN}{_TIME}\]\s?(?P<rest>.*)"),
    # [09:15, 12/01/2023] Ana: text    copied from WhatsApp Web
    "web": re.compile(rf"\[{_TIME},\s{_DATE}\]\s?(?P<rest>.*)"),
}
"""The head of a message by the phone that wrote it."""
_PM_ONLY = re.compile(_PM)
_DAY = 86_400.0


class Stamp(msgspec.Struct, frozen=True):
    """A date and time as written: three numbers in an unknown order, seconds of the day."""

    numbers: tuple[int, int, int]
    separator: str
    second: int
    """Of the day; -1 when there is no such time."""
    twelve: bool


def stamp_of(found: re.Match[str]) -> Stamp:
    """The stamp of a matched head (STYLES)."""
    half = found["before"] or found["after"]
    hour, minute, second = int(found["h"]), int(found["m"]), int(found["sec"] or 0)
    if half:
        hour = hour % 12 + (12 if _PM_ONLY.fullmatch(half) else 0)
    of_day = hour * 3600 + minute * 60 + second
    possible = hour < 24 and minute < 60 and second < 60
    numbers = (int(found["a"]), int(found["b"]), int(found["c"]))
    return Stamp(numbers, found["s"], of_day if possible else -1, bool(half))


def order_of(stamps: Sequence[Stamp]) -> tuple[Order, bool]:
    """The order that fits most dates, and whether the dates leave no doubt.

    Where both fit, chats go forward in time and are denser than their dates read the other way.
    """
    if sum(stamp.numbers[0] > 999 for stamp in stamps) * 2 > len(stamps):
        return "year/month/day", True
    orders: tuple[Order, Order] = ("day/month/year", "month/day/year")
    misfits, marks = {}, {}
    for order in orders:
        times = [moment(stamp, order) for stamp in stamps]
        known = [time for time in times if time is not None]
        back = sum(later < earlier - _DAY for earlier, later in itertools.pairwise(known))
        misfits[order] = len(times) - len(known)
        marks[order] = (misfits[order], back, max(known, default=0) - min(known, default=0))
    day, month = (marks[order] for order in orders)
    if day == month:
        american = sum(s.twelve and s.separator == "/" for s in stamps) * 2 > len(stamps)
        return orders[american], False
    best = orders[month < day]
    return best, misfits[orders[0]] != misfits[orders[1]]


def moment(stamp: Stamp, order: Order) -> float | None:
    """Seconds of the wall clock; None when there is no such date or time."""
    a, b, c = stamp.numbers
    if order == "year/month/day" or a > 999:
        year, month, day = a, b, c
    elif order == "day/month/year":
        day, month, year = a, b, c
    else:
        month, day, year = a, b, c
    if stamp.second < 0:
        return None
    try:
        return datetime(year + 2000 if year < 100 else year, month, day, tzinfo=UTC).timestamp() + (
            stamp.second
        )
    except ValueError:
        return None
