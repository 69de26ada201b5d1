"""The clock, at a time that the test sets."""

from datetime import UTC, datetime

import pytest

from agents.builtin import clock


def at_six():
    return datetime(2026, 11, 24, 18, 5, 9, tzinfo=UTC)


def ask(made, **arguments):
    return made(**made.validate(arguments))


def test_the_time_where_the_user_is_and_elsewhere():
    made = clock("Europe/Berlin", now=at_six)
    assert ask(made) == "Tuesday 2026-11-24 19:05:09 +01:00 Europe/Berlin, week 48"
    assert ask(made, zone="Asia/Kolkata") == "Tuesday 2026-11-24 23:35:09 +05:30 Asia/Kolkata, week 48"
    assert ask(made, zone="America/New York") == "Tuesday 2026-11-24 13:05:09 -05:00 America/New_York, week 48"


def test_a_given_time_in_another_zone():
    made = clock("Europe/Berlin", now=at_six)
    assert ask(made, at="2026-07-01T12:00:00Z").startswith("Wednesday 2026-07-01 14:00:00 +02:00")
    assert ask(made, at="2026-07-01T12:00:00", zone="UTC").startswith("Wednesday 2026-07-01 10:00:00 +00:00")


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("berlin", "Europe/Berlin"),
        ("../../etc/passwd", "Area/City"),
        ("Mars/Olympus", "Area/City"),
        ("new york", "New_York"),
    ],
)
def test_zones_that_are_not_known(zone, hint):
    with pytest.raises(ValueError, match=hint):
        ask(clock(now=at_six), zone=zone)
    with pytest.raises(ValueError, match="no time zone"):
        clock(zone)


def test_it_reads_and_vouches_for_what_it_says():
    made = clock()
    assert (made.name, made.effect, made.trusted) == ("clock", "read", True)
    day, date, time, offset, *_ = ask(made).split()
    said = datetime.fromisoformat(f"{date} {time}{offset}")
    assert abs((said - datetime.now(UTC)).total_seconds()) < 60
    assert day == said.strftime("%A")
