"""The command line as a user and a coding agent meet it: output, exit status, errors; against a real server and a real git."""

from __future__ import annotations

import gzip
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import jsonschema
import pytest
import trustme

from docs.make_schema import schema_text
from tests.fix_cli import BAD, GOOD, SEED, Run


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_pass_and_fail(run: Callable[..., Run]) -> None:
    good, bad = (
        run("rehearse", "1_good.sql", "--seed", "seed.sql"),
        run("rehearse", "1_good.sql", "2_bad.sql", "--seed", "seed.sql"),
    )

    assert (good.status, bad.status) == (0, 1)
    assert good.out.startswith("✅ 1 migration rehearsed: nothing breaks")
    assert bad.out.startswith("❌ 1 of 2 migrations would fail: `orders.email` cannot become NOT NULL: 30 of 90 rows are NULL")
    assert "rehearse 1_good.sql …" in good.err  # progress, as plain lines


def test_json_alone_on_standard_output_and_as_the_schema_says(run: Callable[..., Run]) -> None:
    done = run("rehearse", "1_good.sql", "2_bad.sql", "--seed", "seed.sql", "--format", "json")

    report = json.loads(done.out)
    jsonschema.validate(report, json.loads(schema_text()))
    assert (report["verdict"], [m["outcome"] for m in report["migrations"]]) == ("fail", ["applied", "failed"])
    assert report["migrations"][1]["constraints"][0]["violations"] == 30
    assert report["migrations"][0]["statements"][1]["rows_affected"] == 90


def test_json_of_what_could_not_be_done(run: Callable[..., Run]) -> None:
    done = run("rehearse", "1_good.sql", "--seed", "gone.dump", "--format", "json")

    report = json.loads(done.out)
    jsonschema.validate(report, json.loads(schema_text()))
    assert (done.status, report["verdict"]) == (3, "error")
    assert "gone.dump does not exist" in report["error"][0]


def test_the_sql_is_printed_when_and_only_when_all_passed(run: Callable[..., Run]) -> None:
    good = run("rehearse", "1_good.sql", "--seed", "seed.sql", "--print-sql")
    bad = run("rehearse", "1_good.sql", "2_bad.sql", "--seed", "seed.sql", "--print-sql")
    broken = run("rehearse", "1_good.sql", "--seed", "gone", "--print-sql", "--format", "json")

    assert (good.status, good.out) == (0, f"-- 1_good.sql\n{GOOD}")
    assert (bad.status, bad.out) == (1, "")
    assert (broken.status, broken.out) == (3, "")
    assert "30 of 90 rows are NULL" in bad.err


@pytest.mark.parametrize("folder", ["m", "m/", "./m", "."])
def test_a_folder_is_rehearsed_in_its_tools_order(run: Callable[..., Run], folder: str, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for path in tmp_path.glob("*.sql"):
        path.unlink()
    (tmp_path / "m/V10__bad.sql").write_text(BAD)
    (tmp_path / "m/V9__orders.sql").write_text(SEED)

    done = run("rehearse", folder, "--format", "json")

    report = json.loads(done.out)
    assert [(m["version"], m["outcome"]) for m in report["migrations"]] == [("9", "applied"), ("10", "failed")]


def test_a_folder_without_a_migration(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    done = run("rehearse", "empty")

    assert (done.status, "There is no migration in empty" in done.err) == (2, True)


def test_failing_sql_is_not_handed_on_whatever_fails_the_check(run: Callable[..., Run]) -> None:
    done = run("rehearse", "2_bad.sql", "--seed", "seed.sql", "--print-sql", "--fail-on", "never")

    assert (done.status, done.out) == (0, "")


def test_a_template_of_ones_own(run: Callable[..., Run]) -> None:
    """An option names a file as a shell does; the team's file one beside it, from wherever the program is started."""
    Path("c.j2").write_text("## {{ report.migrations | length }} looked at\n")
    rehearse = ("rehearse", "1_good.sql", "--seed", "seed.sql", "--format", "markdown")
    by_option = run(*rehearse, "--template", "c.j2")
    missing = run(*rehearse, "--template", "d.j2")
    Path(".migration-rehearsal.toml").write_text('template = "c.j2"')
    by_file = run(*rehearse)

    assert by_option.out == by_file.out == "<!-- migration-rehearsal -->\n## 1 looked at\n"
    assert "The template d.j2 is not used: there is no such file" in missing.err
    assert "1 migration rehearsed" in missing.out


def test_a_teams_file_sets_severities_and_limits_and_paths_to_leave_alone(run: Callable[..., Run], tmp_path: Path) -> None:
    Path("slow.sql").write_text("LOCK TABLE orders;\nSELECT pg_sleep(0.05);\n")
    file = Path(".migration-rehearsal.toml")
    found = {}
    for said in ("", "max-reads-blocked-ms = 1", 'max-reads-blocked-ms = 1\n[severity]\nreads-blocked = "off"'):
        file.write_text(said)
        report = json.loads(run("rehearse", "slow.sql", "--seed", "seed.sql", "--format", "json").out)
        found[said] = [f["rule"] for f in report["findings"] if f["rule"] == "reads-blocked"]
    file.write_text("max-reads-blocked-ms = 'x'")
    wrong = run("rehearse", "slow.sql", "--seed", "seed.sql")
    file.write_text("")
    Path("other.toml").write_text("max-reads-blocked-ms = 1")
    other = run("rehearse", "slow.sql", "--seed", "seed.sql", "--config", "other.toml", "--max-reads-blocked-ms", "900")

    assert [len(rules) for rules in found.values()] == [0, 1, 0]
    assert wrong.status == 2 and ".migration-rehearsal.toml:1: `max-reads-blocked-ms` is not understood" in wrong.err
    assert "reads-blocked" not in other.out  # an option wins


def test_a_size_of_a_table_that_is_not_there_is_told_with_the_name_that_may_be_meant(run: Callable[..., Run]) -> None:
    said = "[large-tables]\n'public.order' = true\n'public.orders' = true\n'zoo.bears' = 5\n[severity]\ntable-rewritten = 'error'"
    Path(".migration-rehearsal.toml").write_text(said)
    Path("9_wide.sql").write_text("ALTER TABLE orders ALTER COLUMN id TYPE bigint;")

    report = json.loads(run("rehearse", "9_wide.sql", "--seed", "seed.sql", "--format", "json").out)

    assert [note for note in report["notes"] if "gives a size" in note] == [
        ".migration-rehearsal.toml gives a size to public.order, which is not there before the first migration. "
        "Is it public.orders?",
        ".migration-rehearsal.toml gives a size to zoo.bears, which is not there before the first migration.",
    ]
    (found,) = [f["message"] for f in report["findings"] if f["rule"] == "table-rewritten"]
    assert "all 90 rows (large in production, as `.migration-rehearsal.toml` says)" in found


def test_a_mistake_in_a_teams_file_is_told_by_the_listing_too(run: Callable[..., Run]) -> None:
    Path(".migration-rehearsal.toml").write_text("\n[rules.key-near-end]\nwarnings-at = 1")
    Path("other.toml").write_text("chek = 'both'")

    found = [run("list", "1_good.sql", *more) for more in ((), ("--config", "other.toml"))]

    assert [done.status for done in found] == [2, 2]
    assert ".migration-rehearsal.toml:3: `warnings-at` is no option of key-near-end" in found[0].err
    assert "Did you mean `warning-at`?" in found[0].err
    assert "other.toml:1: `chek` is no setting" in found[1].err


def test_links_and_folders_named_like_migrations_are_left_alone(run: Callable[..., Run], tmp_path: Path) -> None:
    git("init", "-b", "main")
    git("commit", "--allow-empty", "-m", "base")
    Path("migrations").mkdir()
    Path("migrations/1_good.sql").write_text("SELECT 1;")
    Path("migrations/2_link.sql").symlink_to("/etc/passwd")
    Path("migrations/3_dangling.sql").symlink_to("nowhere")
    Path("migrations/4_folder.sql").mkdir()
    git("add", "-A")

    done = run("list", "--format", "json", "--base", "main")

    assert [m["path"] for m in json.loads(done.out)["migrations"]] == ["migrations/1_good.sql"]


def test_a_file_by_whatever_path_stands_on_the_earlier_ones_of_its_base(run: Callable[..., Run], tmp_path: Path) -> None:
    git("init", "-b", "main")
    Path("m").mkdir()
    Path("m/1_a.sql").write_text("SELECT 1;")
    git("add", "m")
    git("commit", "-m", "base")
    Path("m/2_b.sql").write_text("SELECT 2;")

    for path in ("m/2_b.sql", "./m/2_b.sql", "m//2_b.sql", "m/../m/2_b.sql", str(tmp_path / "m/2_b.sql")):
        for base in ((), ("--base", "main")):
            plan = json.loads(run("list", path, "m/2_b.sql", *base, "--format", "json").out)
            assert [PurePosixPath(m["path"]).name for m in plan["base"]] == ["1_a.sql"]
            assert {m["version"] for m in plan["migrations"]} == {"2"}


def test_reports_are_written_as_their_ending_says(run: Callable[..., Run], tmp_path: Path) -> None:
    run("rehearse", "2_bad.sql", "--seed", "seed.sql", "--output", "r.json", "--output", "r.md", "--output", "r.txt")

    assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "fail"
    assert (tmp_path / "r.md").read_text().startswith("<!-- migration-rehearsal -->\n### ❌")
    assert (tmp_path / "r.txt").read_text().startswith("❌")


def test_what_this_branch_adds(run: Callable[..., Run]) -> None:
    """Untracked and uncommitted files count: an agent proves a migration before it proposes it."""
    git("init", "-b", "main")
    Path("db/migrations").mkdir(parents=True)
    Path("db/migrations/1_orders.sql").write_text(SEED)
    git("add", "db")
    git("commit", "-m", "base")
    git("checkout", "-b", "feature")
    Path("db/migrations/2_good.sql").write_text(GOOD)
    git("add", "db")
    git("commit", "-m", "more")
    Path("db/migrations/10_bad é.sql").write_text(BAD)

    listed = run("list", "--format", "json")
    done = run("rehearse", "--base", "main", "--format", "json")

    plan = json.loads(listed.out)
    assert [m["path"] for m in plan["migrations"]] == ["db/migrations/2_good.sql", "db/migrations/10_bad é.sql"]
    assert [m["path"] for m in plan["base"]] == ["db/migrations/1_orders.sql"]
    report = json.loads(done.out)
    assert (done.status, report["clone"]["seed"]["kind"]) == (1, "migrations")
    assert report["migrations"][1]["constraints"][0]["violations"] == 30


def test_a_branch_that_adds_nothing(run: Callable[..., Run]) -> None:
    git("init", "-b", "main")
    git("add", "-A")
    git("commit", "-m", "base")

    done = run("rehearse")

    assert (done.status, done.out.splitlines()[0]) == (0, "✅ No new migrations in this change")


def test_a_full_disk_is_no_answer_about_the_migration(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.postgres.embedded._most_temporary_bytes", lambda _folder: 2**20)
    Path("3_full.sql").write_text(
        "SET work_mem = '64kB'; CREATE TABLE n AS SELECT i FROM generate_series(1, 200000) i ORDER BY -i;"
    )

    done = run("rehearse", "3_full.sql", "--seed", "seed.sql")

    assert (done.status, "This machine could not carry 3_full.sql" in done.err) == (3, True)


def test_a_named_file_stands_on_the_earlier_ones_beside_it(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/1_a.sql").write_text(SEED)
    (tmp_path / "m/2_b.sql").write_text(BAD)

    done = run("rehearse", "m/2_b.sql")

    assert (done.status, "30 of 90 rows" in done.out) == (1, True)


def test_earlier_files_that_nobody_has_reviewed_have_no_more_rights(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/1_a.sql").write_text("CREATE TABLE orders (id int, email text); COPY orders TO PROGRAM 'cat >ran';")
    (tmp_path / "m/2_b.sql").write_text("ALTER TABLE orders ADD total int;")

    done = run("rehearse", "m/2_b.sql")
    trusted = run("rehearse", "m/2_b.sql", "--superuser")

    assert (done.status, "m/1_a.sql:1 fails" in done.err, "With --base" in done.err) == (3, True, True), done.err
    assert trusted.status == 0, trusted.err


def test_a_base_that_does_not_replay(run: Callable[..., Run]) -> None:
    Path("m").mkdir()
    Path("m/1_a.sql").write_text("SELECT 1;\nSELECT nothing;")
    Path("m/2_b.sql").write_text("SELECT 1")

    done = run("rehearse", "m/2_b.sql")

    assert done.status == 3
    assert "m/1_a.sql:2 fails, which the rest stands on" in done.err


def test_whom_migrations_run_as(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "owned.sql").write_text(SEED + "CREATE ROLE shop_owner; ALTER TABLE orders OWNER TO shop_owner;")
    (tmp_path / "3_who.sql").write_text("CREATE TABLE who AS SELECT current_user;")
    (tmp_path / "4_program.sql").write_text("COPY orders TO PROGRAM 'cat >/dev/null';")

    owner = json.loads(run("rehearse", "--seed", "owned.sql", "3_who.sql", "--format", "json").out)
    named = run("rehearse", "--seed", "owned.sql", "3_who.sql", "--role", "deployer")
    refused = run("rehearse", "--seed", "owned.sql", "4_program.sql")
    trusted = run("rehearse", "--seed", "owned.sql", "4_program.sql", "--superuser")

    assert (owner["clone"]["role"], owner["clone"]["superuser"]) == ("shop_owner", False)
    assert "as deployer;" in named.out
    assert (refused.status, "[right-missing]" in refused.out) == (1, True)
    assert (trusted.status, "as shop_owner, a superuser" in trusted.out) == (0, True)


def test_test_data_has_the_rights_of_a_migration(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "rows.sql").write_text("INSERT INTO orders VALUES (100, 'x');\nCOPY orders TO PROGRAM 'true';\n")

    done = run("rehearse", "--seed", "seed.sql", "--seed-sql", "rows.sql", "1_good.sql")

    assert done.status == 3
    assert "rows.sql could not be restored" in done.err
    assert "pg_execute_server_program" in done.err or "external program" in done.err


def test_a_sql_file_after_the_base(run: Callable[..., Run]) -> None:
    Path("m").mkdir()
    Path("m/1_a.sql").write_text("CREATE TABLE orders (id int, email text);")
    Path("m/2_b.sql").write_text(BAD)
    Path("rows.sql").write_text("INSERT INTO orders VALUES (1, NULL), (2, 'x');")

    done = run("rehearse", "m/2_b.sql", "--seed-sql", "rows.sql")

    assert "1 of 2 rows is NULL" in done.out


# arguments -> exit status, a part of what is said
WRONG = {
    "no command": ((), 2, "required"),
    "no such file": (("rehearse", "nope.sql"), 2, "There is no file nope.sql"),
    "no such layout": (("rehearse", "1_good.sql", "--layout", "flywey"), 2, "Did you mean 'flyway'"),
    "no such provider": (("rehearse", "1_good.sql", "--clone-provider", "x"), 2, "There is no clone provider named 'x'"),
    "no such format": (("rehearse", "--format", "xml"), 2, "invalid choice"),
    "no such server": (("rehearse", "1_good.sql", "--postgres-bin", "/nowhere"), 3, "There is no PostgreSQL server in /nowhere"),
    "no repository": (("rehearse",), 2, "is not in a git repository"),
    "no seed-sql": (("rehearse", "1_good.sql", "--seed-sql", "gone.sql"), 3, "gone.sql does not exist"),
    "nowhere to write": (("rehearse", "1_good.sql", "--seed", "seed.sql", "--output", "no/where.md"), 2, "could not be written"),
}


@pytest.mark.parametrize(("arguments", "status", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_is_explained(run: Callable[..., Run], arguments: tuple[str, ...], status: int, said: str) -> None:
    done = run(*arguments)

    assert (done.status, said in done.err) == (status, True), done.err
    assert "Traceback" not in done.err


def test_no_such_base(run: Callable[..., Run]) -> None:
    git("init", "-b", "main")
    git("add", "-A")
    git("commit", "-m", "base")

    for base in ("origin/nowhere", "--help"):
        done = run("rehearse", f"--base={base}")
        assert (done.status, "There is no commit" in done.err) == (2, True)


@pytest.fixture
def https_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A dump behind https, with a certificate that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    content = gzip.compress(SEED.encode())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", f"http://localhost:{server.server_port}/shop.sql.gz?signature=s3cr3t")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found = self.path.startswith("/shop.sql.gz")
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(content) if found else 0))
            self.send_header("ETag", '"0815"')
            self.send_header("Last-Modified", "Sun, 22 Nov 2026 03:10:00 GMT")
            self.end_headers()
            if found:
                self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_seed_from_the_network(run: Callable[..., Run], https_seed: str) -> None:
    done = run("rehearse", "2_bad.sql", "--seed", f"{https_seed}/shop.sql.gz?signature=s3cr3t", "--format", "json")
    gone = run("rehearse", "2_bad.sql", "--seed", f"{https_seed}/gone?signature=s3cr3t")

    seed = json.loads(done.out)["clone"]["seed"]
    assert (done.status, seed["kind"], seed["taken_at"]) == (1, "gzip", "2026-11-22T03:10:00Z")
    assert (gone.status, "localhost answered 404" in gone.err) == (3, True)
    assert "s3cr3t" not in done.out + done.err + gone.out + gone.err


def test_a_seed_that_did_not_change_is_not_downloaded_again(run: Callable[..., Run], https_seed: str, journal_url: str) -> None:
    """Its server says so, whatever the signature is."""
    for signature in ("s3cr3t", "an0ther"):
        seed = f"{https_seed}/shop.sql.gz?signature={signature}"
        done = run("rehearse", "2_bad.sql", "--seed", seed, "--journal", journal_url)

    assert "download" not in done.err
    assert "replayed from the journal" in done.out


def test_a_seed_from_the_network_is_kept_by_what_its_server_says(run: Callable[..., Run], https_seed: str) -> None:
    seed = f"{https_seed}/shop.sql.gz?signature="
    first, again = (run("rehearse", "1_good.sql", "--seed", seed + one, "--seed-folder", "kept") for one in ("s3cr3t", "an0ther"))

    assert ("download" in first.err, "download" in again.err) == (True, False)
    assert "take the kept seed" in again.err


def test_what_does_not_fit_is_not_downloaded(run: Callable[..., Run], https_seed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.room.room_of", lambda _folder: 128 * 2**20)

    done = run("rehearse", "1_good.sql", "--seed", f"{https_seed}/shop.sql.gz")

    assert (done.status, "The seed can't be downloaded: there is not enough room" in done.err) == (3, True)


def test_a_redirect_to_plain_http_is_not_followed(run: Callable[..., Run], https_seed: str) -> None:
    done = run("rehearse", "2_bad.sql", "--seed", f"{https_seed}/moved")

    assert (done.status, "can't be fetched over http" in done.err) == (2, True)
    assert "s3cr3t" not in done.err


def test_a_certificate_that_nobody_vouches_for(run: Callable[..., Run], https_seed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")

    done = run("rehearse", "2_bad.sql", "--seed", f"{https_seed}/shop.sql.gz")

    assert (done.status, "could not be fetched from localhost" in done.err) == (3, True)


def test_a_seed_of_an_older_postgresql_is_said(run: Callable[..., Run]) -> None:
    Path("old.sql").write_text("-- PostgreSQL database dump\n-- Dumped from database version 12.4\n" + SEED)

    report = json.loads(run("rehearse", "1_good.sql", "--seed", "old.sql", "--format", "json").out)

    assert any("made from PostgreSQL 12, and the clone is PostgreSQL" in note for note in report["notes"])
