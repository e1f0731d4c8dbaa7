"""What tools put into the place of names in a file."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from bot.discovery import Known, plan_files
from bot.errors import MigrationFileError
from bot.layouts import LAYOUTS, named
from bot.layouts.filling import Filling, Unfilled

VALUES = {"schema": "app", "Big": "B", "empty": ""}
OWN = ("flyway", "goose", "popx")

# layout, text -> with its values in it
FILLED = [
    ("drizzle", "SELECT ${schema}, {{schema}}, {{ schema }}, '${schema}'", "SELECT app, app, app, 'app'"),
    ("drizzle", "'${other} {{other}}' -- ${other}\n, $$ {{other}} $$", "'${other} {{other}}' -- ${other}\n, $$ {{other}} $$"),
    ("drizzle", "SELECT $schema", "SELECT $schema"),
    ("flyway", "SET ROLE ${SCHEMA}; -- ${big}", "SET ROLE app; -- B"),
    ("flyway", "${flyway:defaultSchema} ${flyway:table} ${flyway:filename}", "public flyway_schema_history V1__a.sql"),
    ("flyway", "a${empty}b", "ab"),
    ("goose", "SELECT '${schema}'", "SELECT '${schema}'"),
    ("goose", "-- +goose ENVSUB ON\n${schema} $schema $1 $$ ${no:-a b} ${no-}\n-- +goose envsub off\n'$schema'",
     "-- +goose ENVSUB ON\napp app $1 $$ a b \n-- +goose envsub off\n'$schema'"),
    ("goose", "-- +goose ENVSUB ON\n${empty:-x}${empty-y}${schema?z}", "-- +goose ENVSUB ON\nxapp"),
    ("popx", "{{ .Parameters.schema }} {{identifier .Parameters.Big}}", "app B"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "text", "filled"), FILLED)
def test_values_are_put_where_the_tool_puts_them(layout: str, text: str, filled: str) -> None:
    assert named(layout).fill(text, Filling(VALUES, PurePosixPath("db/V1__a.sql"))) == filled


def test_a_given_value_of_flyways_own_wins() -> None:
    filling = Filling({"flyway:defaultSchema": "app"}, PurePosixPath("V1__a.sql"))

    assert named("flyway").fill("${flyway:defaultschema}", filling) == "app"


# layout, text -> what is unfilled, and the name to give a value for
UNFILLED = [
    ("flyway", "SELECT '${other}'", ("${other}", "other")),
    ("flyway", "-- ${flyway:user}", ("${flyway:user}", "flyway:user")),
    ("goose", "-- +goose ENVSUB ON\n$other", ("$other", "other")),
    ("goose", "-- +goose ENVSUB ON\n${other?it must be there}", ("${other?it must be there}", "other")),
    ("popx", "{{ .Parameters.other }}", ("{{ .Parameters.other }}", "other")),
    ("popx", "{{if .IsPostgreSQL}}", ("{{if .IsPostgreSQL}}", None)),
    *((layout.name, "SELECT 1;\nSET search_path = ${other};", ("${other}", "other")) for layout in LAYOUTS),
    *((x.name, "SELECT 'a' FROM {{ other }};", ("{{ other }}", "other")) for x in LAYOUTS if x.name != "popx"),
]


@pytest.mark.parametrize(("layout", "text", "said"), UNFILLED)
def test_what_has_no_value_is_named(layout: str, text: str, said: tuple[str, str | None]) -> None:
    with pytest.raises(Unfilled) as unfilled:
        named(layout).fill(text, Filling(VALUES, PurePosixPath("V1__a.sql")))
    assert (unfilled.value.shown, unfilled.value.name) == said
    assert text[unfilled.value.at :].startswith(said[0])


def test_a_migration_has_its_values_and_an_error_says_how_to_give_one() -> None:
    files = {"V1__a.sql": b"CREATE SCHEMA ${schema};\n", "U1__a.sql": b"DROP SCHEMA ${schema};\n"}

    (found,) = plan_files(["V1__a.sql"], [*files], files.__getitem__, None, known=Known({"schema": "app"})).migrations
    assert (found.text, found.down) == ("CREATE SCHEMA app;\n", "DROP SCHEMA app;\n")
    with pytest.raises(
        MigrationFileError, match=r"V1__a\.sql:1: the placeholder \$\{schema\} has no value.*placeholders: schema=value"
    ):
        plan_files(["V1__a.sql"], [*files], files.__getitem__, None, known=Known({"other": "secret"}))


def test_no_error_tells_a_value() -> None:
    files = {"1_a.postgres.up.sql": b"{{ identifier .Parameters.word }}"}

    with pytest.raises(MigrationFileError) as refused:
        plan_files([*files], [], files.__getitem__, "popx", known=Known({"word": "s3cret!"}))
    assert "s3cret" not in str(refused.value)


def test_flyway_leaves_what_its_settings_say() -> None:
    files = {"V1__a.sql": b"SELECT '${x}';", "V1__a.sql.conf": b"placeholderReplacement=false\nexecuteInTransaction=false\n"}

    (found,) = plan_files(["V1__a.sql"], [*files], files.__getitem__, None).migrations

    assert found.text == "/* placeholderReplacement=false */ /* executeInTransaction=false */ SELECT '${x}';"


def test_a_psql_file_takes_values_as_psql_does() -> None:
    files = {"1.sql": b"CREATE TABLE :t (a text DEFAULT :'v');\n"}

    (found,) = plan_files(["1.sql"], [], files.__getitem__, None, known=Known({"t": "orders", "v": "it's"})).migrations

    assert found.text == "CREATE TABLE orders (a text DEFAULT 'it''s');\n"
