"""The schema diff without a server: renames, what is told with something else, the order of columns."""

from __future__ import annotations

import json

from bot.diff import schema_changes, schema_differences
from bot.model import SchemaChange
from bot.postgres.catalog import Columns, Object, Snapshot


def snapshot(*objects: Object, columns: dict[int, list[str]] | None = None) -> Snapshot:
    """A snapshot with a schema, some objects, and integer columns by the OID of their table; a name of "" is a dropped one."""
    packs = {
        oid: json.dumps([[n, name, "integer", None, None, 0, None, None, None] for n, name in enumerate(names, 1) if name])
        for oid, names in (columns or {}).items()
    }
    schema = Object("2615:1", "schema", None, None, "app", "")
    return Snapshot(columns=Columns(packs), objects={thing.id: thing for thing in (schema, *objects)})


def table(oid: int, name: str) -> Object:
    return Object(f"1259:{oid}", "table", "2615:1", None, name, "")


def index(definition: str) -> Object:
    return Object("1259:9", "index", "2615:1", "1259:1", "i", definition)


def view(definition: str, oid: int = 2) -> Object:
    return Object(f"1259:{oid}", "view", "2615:1", None, "v", definition)


def test_a_renamed_table_is_told_and_what_names_it_is_not() -> None:
    before = snapshot(table(1, "t"), index("CREATE INDEX i ON app.t USING btree (a)"), view("SELECT a FROM app.t"))
    after = snapshot(table(1, "u"), index("CREATE INDEX i ON app.u USING btree (a)"), view("SELECT a FROM app.u"))

    assert schema_changes(before, after) == (SchemaChange("table", "app.u", "renamed", "app.t", "app.u"),)


def test_a_change_beside_a_rename_is_told() -> None:
    before = snapshot(table(1, "t"), view("SELECT a FROM app.t"))
    after = snapshot(table(1, "u"), view("SELECT a FROM app.u WHERE a > 1"))

    assert [(c.kind, c.change) for c in schema_changes(before, after)] == [("table", "renamed"), ("view", "changed")]


def test_a_view_over_a_renamed_column_keeps_the_name_of_its_own() -> None:
    before = snapshot(table(1, "t"), view("SELECT t.a,\n    t.b FROM app.t"), columns={1: ["a", "b"]})
    after = snapshot(table(1, "t"), view("SELECT t.c AS a,\n    t.b FROM app.t"), columns={1: ["c", "b"]})

    assert schema_changes(before, after) == (SchemaChange("column", "app.t.c", "renamed", "app.t.a", "app.t.c"),)


def test_a_table_that_moved_is_renamed_and_its_old_name_may_stand_elsewhere() -> None:
    other = Object("2615:2", "schema", None, None, "other", "")
    moved = table(1, "t")._replace(home="2615:2")
    before = snapshot(other, table(1, "t"), view("SELECT a FROM app.t"))
    after = snapshot(other, moved, view("SELECT a FROM other.t"))

    assert schema_changes(before, after) == (SchemaChange("table", "other.t", "renamed", "app.t", "other.t"),)


def test_a_renamed_schema_does_not_rename_what_is_in_it() -> None:
    before = snapshot(table(1, "t"), view("SELECT a FROM app.t"))
    after = snapshot(table(1, "t"), view("SELECT a FROM shop.t"))
    after = Snapshot(objects={**after.objects, "2615:1": Object("2615:1", "schema", None, None, "shop", "")})

    assert schema_changes(before, after) == (SchemaChange("schema", "shop", "renamed", "app", "shop"),)


def test_a_function_of_a_renamed_table_keeps_its_name() -> None:
    function = Object("1255:3", "function", "2615:1", None, "f(app.t)", "CREATE FUNCTION app.f(app.t)")
    before = snapshot(function, table(1, "t"))
    after = snapshot(function._replace(name="f(app.u)", definition="CREATE FUNCTION app.f(app.u)"), table(1, "u"))

    assert schema_changes(before, after) == (SchemaChange("table", "app.u", "renamed", "app.t", "app.u"),)


def test_what_comes_with_a_table_is_told_in_its_definition() -> None:
    comment = Object("1259:1:0/comment", "comment", "1259:1", None, None, "all")
    before, after = snapshot(), snapshot(table(1, "t"), index("CREATE INDEX i ON app.t (a)"), comment, columns={1: ["a", "b"]})

    (change,) = schema_changes(before, after)

    assert (change.kind, change.name, change.change, change.before) == ("table", "app.t", "added", None)
    assert change.after == "(a integer, b integer); CREATE INDEX i ON app.t (a); comment table app.t: all"
    assert [c.change for c in schema_changes(after, before)] == ["dropped"]


def test_a_table_made_anew_is_no_difference_by_name() -> None:
    before = snapshot(table(1, "t"), columns={1: ["a", "b"]})
    after = snapshot(table(5, "t"), columns={5: ["a", "", "b"]})

    assert schema_differences(before, after) == ()
    assert sorted(c.change for c in schema_changes(before, after)) == ["added", "dropped"]


def test_the_order_of_columns_is_one_difference() -> None:
    before = snapshot(table(1, "t"), columns={1: ["a", "b", "c"]})
    after = snapshot(table(1, "t"), columns={1: ["a", "", "c", "b"]})

    assert schema_differences(before, after) == (SchemaChange("column order", "app.t", "changed", "a, b, c", "a, c, b"),)
    assert {(c.name, c.change) for c in schema_changes(before, after)} == {("app.t.b", "added"), ("app.t.b", "dropped")}


def test_a_new_owner_and_a_new_secret_are_told_without_the_secret() -> None:
    server = Object("1417:1", "server", None, None, "far", "OPTIONS (password)", "one", "digest")
    before, after = snapshot(server), snapshot(server._replace(owner="two", hidden="other"))

    shown = "OPTIONS (password) (values that are not shown)"
    assert schema_changes(before, after) == (
        SchemaChange("owner", "server far", "changed", "one", "two"),
        SchemaChange("server", "far", "changed", shown, shown),
    )
