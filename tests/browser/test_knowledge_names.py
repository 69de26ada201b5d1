"""Names of knowledge bases: each person sees their own, under the names that they gave."""

import pytest

from decoder.errors import UsageError
from ui.browser import jobs, knowledge_names
from ui.browser.knowledge_names import NameTaken, check_new, known_names, own_names
from ui.browser.person import Person

ANN, BOB = Person("issuer|ann", "Ann"), Person("issuer|bob", "Bob")


@pytest.fixture
def be(home, monkeypatch):
    def be(who):
        monkeypatch.setattr(knowledge_names, "person", lambda: who)

    be(Person())
    return be


@pytest.fixture
def exists(home, be):
    """Makes knowledge bases that are there, as far as their names go."""

    def exists(*names):
        for name in names:
            folder = home / "indexes" / name
            folder.mkdir(parents=True)
            (folder / "manifest.json").touch()

    return exists


def test_a_new_name_is_checked(exists):
    exists("manual")
    assert check_new(" notes ") == "notes"
    for name in ("", "-x", "a/b", "../x", "a b", "x" * 65, "\0", "é", ".hidden"):
        with pytest.raises(UsageError, match="cannot be a name"):
            check_new(name)
    for name in ("manual", "Manual"):
        with pytest.raises(NameTaken, match="there is one called"):
            check_new(name)


def test_people_see_their_own_and_may_use_each_others_names(be, exists):
    be(ANN)
    hers = check_new("notes")
    assert hers == f"{ANN.prefix}notes"
    exists(hers)
    be(BOB)
    his = check_new("notes")
    assert his != hers
    exists(his)
    assert own_names() == [his]
    be(ANN)
    assert own_names() == [hers]


def test_a_long_name_has_room_for_its_owner(be):
    be(ANN)
    assert len(check_new("x" * 42)) == 64
    with pytest.raises(UsageError, match="1 to 42 letters"):
        check_new("x" * 43)


def test_one_that_is_being_made_is_known_to_its_owner_alone(be, home, monkeypatch):
    monkeypatch.setattr(jobs, "_spawn", lambda folder: None)
    be(ANN)
    name = check_new("notes")
    jobs.start("index", "Reading", {"kb": name}, ANN.id)
    jobs.start("index", "Reading", {"kb": f"{BOB.prefix}x"}, ANN.id)
    jobs.start("index", "Reading", {"kb": "../etc"}, ANN.id)
    assert own_names() == []
    assert known_names() == [name]
    with pytest.raises(NameTaken):
        check_new("notes")
    be(BOB)
    assert known_names() == []
