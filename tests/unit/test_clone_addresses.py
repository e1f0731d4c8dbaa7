"""Connection URLs of services: what is one, that it is encrypted on its way; and what of a service's words may be told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from bot.clones.addresses import encrypted, made, parts, verified
from bot.clones.services import Access, ServiceError
from bot.clones.services.asking import Asking, at, moment, stamp

FAR = "postgresql://u:p@db.example.org:5433/shop"


@pytest.mark.parametrize(
    ("url", "sslmode"),
    [
        (FAR, "require"),
        (f"{FAR}?application_name=x", "require"),
        (f"{FAR}?sslmode=disable", "require"),
        (f"{FAR}?sslmode=prefer", "require"),
        (f"{FAR}?sslmode=require", "require"),
        (f"{FAR}?sslmode=verify-full", "verify-full"),
        ("postgres://u:p@10.0.0.7/shop", "require"),
        ("postgres://u:p@127.0.0.1,db.example.org/shop", "require"),
        ("postgres://u:p@localhost/shop?hostaddr=10.0.0.7", "require"),
        ("postgres://u:p@127.0.0.1/shop", None),
        ("postgres://u:p@[::1]/shop", None),
        ("postgres://u:p@localhost/shop?sslmode=disable", "disable"),
        ("postgres://u@%2Ftmp/shop", None),
    ],
)
def test_what_goes_over_a_network_is_encrypted(url: str, sslmode: str | None) -> None:
    said, before = conninfo_to_dict(encrypted(url, "it")), conninfo_to_dict(url)

    assert said.pop("sslmode", None) == sslmode
    before.pop("sslmode", None)
    assert said == before


@pytest.mark.parametrize("query", ["", "?sslmode=require", "?sslmode=require&channel_binding=require"])
def test_a_server_far_away_proves_who_it_is_by_authorities_that_are_there(query: str) -> None:
    said = conninfo_to_dict(verified(FAR + query, "it"))

    assert said["sslmode"] == "verify-full"
    assert "BEGIN CERTIFICATE" in Path(str(said["sslrootcert"])).read_text()
    assert said.get("channel_binding") == ("require" if "channel_binding" in query else None)


def test_authorities_that_a_url_names_are_kept() -> None:
    assert conninfo_to_dict(verified(f"{FAR}?sslrootcert=/ca.pem", "it"))["sslrootcert"] == "/ca.pem"


@pytest.mark.parametrize("check", [encrypted, verified, parts])
@pytest.mark.parametrize(
    "url",
    [None, 7, "", "planted", "host=planted", "mysql://planted/d", f"{FAR}?planted=1", "postgresql://planted:p@[h/d"],
)
def test_what_is_no_connection_url_is_not_told(check: Callable[[object, str], object], url: object) -> None:
    with pytest.raises(ServiceError, match="What it gave is no connection URL") as caught:
        check(url, "it")

    assert "planted" not in str(caught.value)


WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(WORD, WORD, WORD)
def test_an_address_says_what_it_was_made_of(user: str, password: str, database: str) -> None:
    said = parts(made("it", user=user, password=password, host="::1", port="5433", dbname=database), "it")

    assert said == {"user": user, "password": password, "host": "::1", "port": "5433", "dbname": database}


SECRET, ID = "s3cret+of/ours=", "0d5b2a3e-7c1f-4b8e-9a6d-2f3c4d5e6f70"
TOLD = [SECRET, "s3cret%2Bof%2Fours%3D", ID, f"https://claim.example.org/{SECRET}", f"postgres://u:{SECRET}@h/d"]


ASKING = Asking("It", "https://it.example.org", Access("it", token=SECRET), {})  # never asked


@given(st.integers(0, 400), st.sampled_from(TOLD))
def test_of_what_a_service_says_no_part_of_a_secret_is_told_wherever_it_stands(before: int, secret: str) -> None:
    shown = ASKING.shown(f"{'x' * before} {secret} and more")

    assert [part for part in ("s3c", "ours", ID[:3], "claim", "postgres") if part in shown] == []
    assert shown.startswith("x" * min(before, 300))
    assert len(shown) <= 300


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T02:00:00.123+02:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01 00:00:00", "2026-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_time_is_told_in_utc_or_not_at_all(text: object, said: str | None) -> None:
    assert stamp(moment(text)) == said


def test_what_is_not_in_an_answer_is_nothing() -> None:
    body = {"a": [{"b": 1}], "c": None}
    nowhere: list[tuple[str | int, ...]] = [("a", 1), ("a", "b"), ("c", "d"), ("x",), (0,)]

    assert at(body, "a", 0, "b") == 1
    assert [at(body, *place) for place in nowhere] == [None] * 5
    assert at(None, "a") is None
