"""What time it is, and what a time is elsewhere: the decoder knows neither."""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from agents.tool import Tool


def clock(zone: str = "UTC", now: Callable[[], datetime] | None = None, **options: Any) -> Tool:
    """The tool `clock`. Its results are its own, so they do not taint.

    Args:
        zone: where the user is, an IANA name.
        now: gives the time, with its zone; the machine's by default.
        options: fields of `Tool`.

    Raises ValueError for a zone that is not known.
    """
    from agents.signature import read_signature

    home, told = _zone(zone), now or _now

    def clock(zone: str | None = None, at: datetime | None = None) -> str:
        """The date and time now, or a given time in another time zone."""
        where = _zone(zone) if zone else home
        moment = at if at is not None else told()
        return describe((moment if moment.tzinfo else moment.replace(tzinfo=home)).astimezone(where), where.key)

    made = read_signature(clock, **{"effect": "read", "trusted": True, "idempotent": True, "timeout": 5.0, **options})
    made.parameters["properties"]["zone"]["description"] = f"IANA name, such as Europe/Berlin; {zone} unless given."
    made.parameters["properties"]["at"]["description"] = f"The time to convert; one without an offset is in {zone}."
    return made


def describe(moment: datetime, zone: str) -> str:
    """As `Tuesday 2026-11-24 18:05:00 +01:00 Europe/Berlin, week 48`."""
    offset = moment.strftime("%z")
    stamp = f"{moment:%A %Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"
    return f"{stamp} {zone}, week {moment.isocalendar().week}"


def _now() -> datetime:
    return datetime.now(UTC)


def _zone(name: str) -> zoneinfo.ZoneInfo:
    known = zoneinfo.available_timezones()
    exact = next((zone for zone in (name, name.replace(" ", "_")) if zone in known), None)
    if exact is None:
        short = {zone.rpartition("/")[2].lower(): zone for zone in sorted(known)}
        near = difflib.get_close_matches(name[:40].lower().replace(" ", "_"), short, n=3)
        hint = f"; is it {', '.join(short[each] for each in near)}?" if near else "; zones are named Area/City"
        raise ValueError(f"there is no time zone {name[:40]!r}{hint}")
    return zoneinfo.ZoneInfo(exact)
