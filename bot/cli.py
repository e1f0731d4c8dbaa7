"""The command line: `migration-rehearsal rehearse | list | reap | sidecar | journal`."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from bot import __version__
from bot.errors import RehearsalError, UsageError, as_fault
from bot.program import leave_no_garbage_to_look_for, look_for_garbage_less_often
from bot.words import visible

if TYPE_CHECKING:
    from bot.clones.services import Leftover, Service, ServiceError
    from bot.discovery import Known
    from bot.git import Repository
    from bot.journal.runs import Journal
    from bot.model import Plan, Report
    from bot.settings import Settings

_EPILOG = """\
examples:
  migration-rehearsal rehearse                          what this branch adds, on what the base's migrations make
  migration-rehearsal rehearse --seed prod.dump         the same, on a dump made with pg_dump
  migration-rehearsal rehearse db/0042_email.sql        one file, on what the earlier ones beside it make
  migration-rehearsal rehearse db/migrations            a whole history, from the first to the last
  migration-rehearsal rehearse --format json            for a program: JSON and nothing else on standard output
  migration-rehearsal rehearse --journal ~/.journal     what was rehearsed already is not rehearsed again
  migration-rehearsal rehearse --print-sql | psql …     the SQL, only when everything passed
  migration-rehearsal list --base origin/main           what would be rehearsed, in order

exit status:
  0  it passes (or warns, below --fail-on)     2  wrong command line, configuration or file
  1  a migration fails its rehearsal           3  the rehearsal could not be done
"""
_JOURNAL_EPILOG = """\
A journal is named by --journal, or by MIGRATION_REHEARSAL_JOURNAL_URL or MIGRATION_REHEARSAL_JOURNAL_FOLDER in the environment.
"""
_SIDECAR_EPILOG = """\
A call names its run (Journal-Run) and its step (Journal-Step), for example:
  curl http://127.0.0.1:8377/orders/x -H 'Journal-Run: task-7' -H 'Journal-Step: 1' --data …
Answers are kept sealed: MIGRATION_REHEARSAL_JOURNAL_KEY is needed (openssl rand -hex 32). More is in docs/sidecar.md.
"""
FORMATS = ("text", "markdown", "json", "sarif", "junit", "code-quality", "html")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit status."""
    stop_in_order_on_sigterm()
    look_for_garbage_less_often()
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except RehearsalError as error:
        return _say_error(error, options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as fault:  # noqa: BLE001  exit status 1 would say that a migration fails
        return _say_error(as_fault(fault), options)


def stop_in_order_on_sigterm() -> None:
    """SIGTERM and SIGHUP end the program as Ctrl-C does: clones are dropped and the server is stopped on the way out."""

    def stop(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="migration-rehearsal",
        description="Rehearses new PostgreSQL migrations on a disposable clone of real data and says what they did there.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="rehearse | list | reap | sidecar | journal")
    rehearse = commands.add_parser(
        "rehearse", help="rehearse migrations and report", epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_what(rehearse)
    _add_command(rehearse)
    _add_how(rehearse)
    rehearse.add_argument(
        "--format", choices=FORMATS, default="text", metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: text)"
    )
    rehearse.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="F",
        help="write the report to F as well, as its ending says (.json, .md, .txt, .sarif, .xml for JUnit, .html), or as in "
        "code-quality=F, else as --format; may be repeated",
    )
    rehearse.add_argument("--open", action="store_true", help="show the report as a page in the browser, with its timeline")
    rehearse.add_argument("--print-sql", action="store_true", help="print the migrations' SQL if, and only if, everything passed")
    rehearse.add_argument("--quiet", action="store_true", help="no progress")
    rehearse.set_defaults(run=_rehearse)
    listing = commands.add_parser("list", help="say what would be rehearsed, in order")
    _add_what(listing)
    listing.add_argument("--format", choices=("text", "json"), default="text")
    listing.set_defaults(run=_list)
    _add_reap(commands)
    _add_sidecar(commands)
    _add_journal(commands)
    return parser


def _add_reap(commands: Any) -> None:
    reap = commands.add_parser(
        "reap",
        help="give back clones that killed runs left with a service",
        description="Gives back clones that killed runs left with a service: those of our making, and of a certain age. Each "
        "rehearsal does it with those of more than a day; a server of our own leaves none.",
        epilog="The service's URL and token come from MIGRATION_REHEARSAL_CLONE_URL and MIGRATION_REHEARSAL_CLONE_TOKEN.",
    )
    _add_provider(reap)
    reap.add_argument("--older-than", type=float, default=24.0, metavar="HOURS", help="age of a clone (default: 24)")
    reap.add_argument("--dry-run", action="store_true", help="only say which these are")
    reap.set_defaults(run=_reap)


def _add_sidecar(commands: Any) -> None:
    sidecar = commands.add_parser(
        "sidecar",
        help="an HTTP proxy through which other programs' calls happen once",
        description="Journals the HTTP calls of other programs: each has its effect once, and is then answered from the journal.",
        epilog=_SIDECAR_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sidecar.add_argument("--listen", default="127.0.0.1:8377", metavar="ADDR", help="address and port (default: 127.0.0.1:8377)")
    sidecar.add_argument(
        "--upstream", action="append", default=[], metavar="NAME=URL", help="call it as /NAME/…; may be repeated"
    )
    sidecar.add_argument("--allow", action="append", default=[], metavar="URL", help="call it as /URL/…; may be repeated")
    sidecar.add_argument("--not-done", default="425,429,503", metavar="STATUS", help="statuses without effect (425,429,503)")
    sidecar.add_argument("--in-doubt", default="408,500,502,504", metavar="STATUS", help="statuses in doubt (408,500,502,504)")
    sidecar.add_argument("--max-body", default="64M", metavar="SIZE", help="largest body of a request (64M)")
    sidecar.add_argument("--max-response", default="16M", metavar="SIZE", help="largest body of an answer that is kept (16M)")
    sidecar.add_argument("--connect-timeout", default="10", metavar="S", help="seconds to connect to an upstream (10)")
    sidecar.add_argument("--timeout", default="300", metavar="S", help="seconds to wait for an upstream's next byte (300)")
    _add_place(sidecar)
    sidecar.set_defaults(run=_sidecar)


def _add_journal(commands: Any) -> None:
    journal = commands.add_parser("journal", help="show or prune what the journal holds", epilog=_JOURNAL_EPILOG)
    verbs = journal.add_subparsers(title="commands", required=True, metavar="show | prune")
    show = verbs.add_parser("show", help="list the newest runs, or the steps of one")
    show.add_argument("which", nargs="?", metavar="RUN", help="a run's id, or the beginning of one; without: the newest runs")
    show.add_argument("--limit", type=int, default=50, metavar="N", help="how many runs (default: 50)")
    show.add_argument("--format", choices=("text", "json"), default="text")
    show.set_defaults(run=_show)
    prune = verbs.add_parser("prune", help="remove old runs that nobody works on")
    prune.add_argument("--older-than", type=int, default=30, metavar="DAYS", help="age of the last thing written (default: 30)")
    prune.add_argument("--in-doubt", action="store_true", help="also runs with a step whose outcome nobody knows")
    prune.set_defaults(run=_prune)
    for verb in (show, prune):
        _add_place(verb)


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--journal", metavar="J", help="the journal: a PostgreSQL URL, or a folder for a server of its own (default: none)"
    )
    parser.add_argument("--postgres-bin", metavar="DIR", help="folder with PostgreSQL's programs, or `wheel`")


def _add_what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="migrations, in this order, or one folder of them; without: what is new since --base",
    )
    parser.add_argument(
        "--base", metavar="REF", help="branch or commit that the migrations are new to (default: the main branch)"
    )
    parser.add_argument("--layout", metavar="L", help="the migration tool; found out if not given")
    parser.add_argument(
        "--config", metavar="F", help="the team's settings (default: .migration-rehearsal.toml, of the base if --base is given)"
    )
    parser.add_argument(
        "--migrations",
        metavar="FOLDER",
        action="append",
        default=[],
        help="folder or glob that holds migrations; may be repeated",
    )
    parser.add_argument(
        "--placeholder",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="placeholders",
        help="value for a name in files like ${NAME}; may be repeated",
    )


def _add_command(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tools that are no files of SQL", "Alembic, Django and any other tool: docs/command.md")
    group.add_argument(
        "--command", metavar="C", help="run this instead, with the clone's address in DATABASE_URL and in libpq's variables"
    )
    group.add_argument("--down-command", metavar="C", help="undoes what it did: the way back is tried")
    group.add_argument("--network", action="store_true", help="let the command reach other hosts, too (default: only the clone)")
    group.add_argument(
        "--base-command", metavar="C", help="runs first, on the files of --base; `none`: nothing does (default: the command)"
    )


def _add_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clone-provider", metavar="P", help="where clones come from: a server of our own, or a service (default: embedded)"
    )
    parser.add_argument(
        "--clone-option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="clone_options",
        help="what that service must know; may be repeated (its URL and token: MIGRATION_REHEARSAL_CLONE_URL, …_CLONE_TOKEN)",
    )


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", metavar="S", help="dump: plain SQL, custom, directory or tar, also in .gz or .zst; a path or an https URL"
    )
    parser.add_argument("--seed-sql", metavar="F", help="SQL file to run after the seed is there")
    parser.add_argument("--seed-folder", metavar="DIR", help="keep the restored seed here for the next run (default: nowhere)")
    _add_provider(parser)
    parser.add_argument("--fail-on", metavar="SEVERITY", help="error, warning or never (default: error)")
    parser.add_argument("--large-table-rows", metavar="N", help="tables with fewer rows are small (default: 10000)")
    parser.add_argument("--max-reads-blocked-ms", metavar="MS", help="how long reads of a table may wait (default: 500)")
    parser.add_argument("--max-writes-blocked-ms", metavar="MS", help="how long writes of a table may wait (default: 1000)")
    parser.add_argument("--production-rows", metavar="N|FILE", help="rows of production in all, or a file of its statistics")
    parser.add_argument("--time-limit", metavar="MIN", help="minutes that one migration may take (default: 60)")
    parser.add_argument("--way-back", metavar="BOOL", help="`false`: try no down part, and run no file twice (default: true)")
    parser.add_argument("--role", metavar="R", help="role that migrations run as (default: the owner of most tables)")
    parser.add_argument(
        "--superuser", action="store_const", const="true", help="make that role a superuser: for files that you trust"
    )
    parser.add_argument("--extensions", metavar="NAMES", help="more extensions that migrations may create though not trusted")
    _add_place(parser)
    parser.add_argument(
        "--journal-failure", metavar="DO", help="when it can't be used: stop (default with a URL) or continue (with a folder)"
    )
    parser.add_argument("--rerun", metavar="HOW", help="`force`: rehearse anew what the journal holds already")
    parser.add_argument("--template", metavar="F", help="your own template for the comment (docs/templates.md)")
    parser.add_argument(
        "--show-row-data", action="store_const", const="true", help="show DETAIL of errors, which holds row values"
    )


def _settings(options: argparse.Namespace) -> Settings:
    """Options as inputs; what is not given may come from MIGRATION_REHEARSAL_<INPUT> in the environment."""
    from bot.settings import INPUTS, configured, settings_from  # noqa: PLC0415
    from bot.team import FILE  # noqa: PLC0415

    inputs: dict[str, str] = {}
    for one in INPUTS:
        if one.environment is None:
            continue
        given = getattr(options, one.name.replace("-", "_"), None)
        if isinstance(given, list):
            given = "\n".join(given)
        inputs[one.name] = given or os.environ.get(one.environment, "")
    if journal := getattr(options, "journal", None):
        is_url = "://" in journal or re.match(r"\w+\s*=", journal) is not None
        inputs |= {"journal-url": journal if is_url else "", "journal-folder": "" if is_url else journal}
    team = _team_files(options)
    content = team.read(team.name) if team else None
    settings = settings_from(inputs) if content is None else configured(inputs, content, getattr(options, "config", None) or FILE)
    if settings.template is None or team is None:
        return settings
    from bot.own_template import template_of  # noqa: PLC0415

    read = _on_disk if inputs.get("template") else team.read  # an option names a file as a shell does
    return replace(settings, template=template_of(settings.template.name, read))


@dataclass(frozen=True, slots=True)
class _TeamFiles:
    """Where the team's configuration is, what it is called there, and how to read it and what it names."""

    name: str
    read: Callable[[str], bytes | None]


def _team_files(options: argparse.Namespace) -> _TeamFiles | None:
    """Of the base branch where that is named, else of this checkout; in no repository, of this folder. Commands that have nothing
    to do with migrations do not read it.
    """
    from bot.team import FILE  # noqa: PLC0415

    if not hasattr(options, "config"):
        return None
    if given := options.config:
        path = Path(given)
        if not path.is_file():
            raise UsageError(f"There is no file {given}, which --config names.", advice="Check its path, or leave --config out.")
        return _TeamFiles(path.name, lambda named: _on_disk(str(path.parent / named)))
    if options.base:
        from bot.git import open_repository  # noqa: PLC0415

        repository = open_repository(Path.cwd(), options.base)
        paths = repository.base_paths()
        return _TeamFiles(FILE, lambda named: repository.read_base(named) if named in paths else None)
    here = Path.cwd()
    top = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
    inside = [folder for folder in (here, *here.parents) if folder.is_relative_to(top)]
    folder = next((folder for folder in inside if (folder / FILE).is_file()), top)
    return _TeamFiles(FILE, lambda named: _on_disk(str(folder / named)))


def _on_disk(path: str) -> bytes | None:
    return Path(path).read_bytes() if Path(path).is_file() else None


@contextmanager
def _planned(options: argparse.Namespace, settings: Settings) -> Iterator[Plan]:
    """The plan, and what it needs on the disk as long as it is worked on."""
    if not options.command:
        if options.down_command or options.base_command or options.network:
            raise UsageError(
                "--down-command, --base-command and --network belong to --command.", advice="Give the command that migrates."
            )
        yield _plan(options, settings)
        return
    from bot.command_plan import Commands, plan_command  # noqa: PLC0415
    from bot.held import held_folder  # noqa: PLC0415

    if options.files or options.print_sql or settings.layout or settings.migrations:
        raise UsageError(
            "With --command the tool itself finds its migrations: no FILE, --layout, --migrations or --print-sql goes with it.",
            advice="Leave them out, or leave --command out to rehearse files of SQL.",
        )
    with held_folder("mr-seed-") as scratch:
        commands = Commands(options.command, options.down_command, options.base_command)
        yield plan_command(commands, options.base, Path.cwd(), scratch)


def _plan(options: argparse.Namespace, settings: Settings) -> Plan:
    from bot.discovery import Known, plan_changes, plan_files  # noqa: PLC0415

    if options.files and Path(options.files[0]).is_dir():
        return _plan_folder(options.files, settings)
    if options.files:
        paths = [*dict.fromkeys(_existing(path) for path in options.files)]
        base = _base_of(paths[0], options.base)
        siblings, read = _around(paths, base)
        known = _known(paths[0], settings, base)
        plan = plan_files(paths, siblings, read, settings.layout, with_base=not settings.data_is_there, known=known)
        return replace(plan, reviewed=options.base is not None)
    from bot.git import open_repository  # noqa: PLC0415

    repository = open_repository(Path.cwd(), options.base)
    return plan_changes(
        repository.changes(),
        repository.base_paths(),
        repository.read,
        repository.read_base,
        layout=settings.layout,
        folders=settings.migrations,
        with_base=not settings.data_is_there,
        known=Known(settings.placeholders),
        ignored=settings.ignored_paths,
    )


def _plan_folder(folders: Sequence[str], settings: Settings) -> Plan:
    """A folder: every migration in it, in its tool's order, as if all were new."""
    from bot.discovery import plan_changes  # noqa: PLC0415
    from bot.model import FileChange, FileStatus  # noqa: PLC0415

    if len(folders) > 1:
        raise UsageError("A folder stands alone.", advice="Name one folder, or files.")
    folder = Path(folders[0])
    files = [str(path) for path in sorted(folder.rglob("*")) if path.is_file() and _stays(path, folder)]
    changes = [FileChange(path, FileStatus.ADDED) for path in files]
    known = _known(str(folder / "-"), settings)
    plan = plan_changes(changes, [], _content, _content, layout=settings.layout, folders=[str(folder)], known=known)
    if not plan.migrations:
        raise UsageError(f"There is no migration in {folder}.", advice="Name its files, or say which tool's they are: --layout.")
    return plan


def _content(path: str) -> bytes:
    return Path(path).read_bytes()


def _existing(path: str) -> str:
    """The path of a file as those beside it will be found: `db/1.sql` for `./db/1.sql`."""
    if not Path(path).is_file():
        raise UsageError(
            f"There is no file {path}.", advice="Name migration files, or none to rehearse what is new since --base."
        )
    straight = os.path.normpath(path)
    return straight if os.path.realpath(straight) == os.path.realpath(path) else path


@dataclass(frozen=True, slots=True)
class _Base:
    """The files of the named base, as they are called where the program was started: with git's names of their contents."""

    repository: Repository
    top: str  # of the repository
    blobs: Mapping[str, str]

    def read(self, path: str) -> bytes:
        return self.repository.read_base(path.removeprefix(f"{self.top}/") if self.top else path)

    def included(self, path: str) -> bytes | None:
        return self.read(path) if path in self.blobs else None


def _base_of(path: str, base: str | None) -> _Base | None:
    """The base that is named, of the repository of this file."""
    from bot.git import open_repository  # noqa: PLC0415

    if base is None:
        return None
    repository, top = open_repository(Path(path).parent, base), _top_of(Path(path))
    return _Base(repository, top, {f"{top}/{p}" if top else p: blob for p, blob in repository.base_paths().items()})


def _around(paths: Sequence[str], base: _Base | None) -> tuple[list[str], Callable[[str], bytes]]:
    """Every file beside the named ones, and how to read a file: from the base if one is named, else from the disk."""
    companions = {companion for path in paths for companion in _companions(path)}
    if base is None:
        return sorted({str(file) for path in map(Path, paths) for file in _beside(path)} | companions), _content
    on_disk = companions.union(paths)
    return sorted(companions.union(base.blobs)), lambda path: _content(path) if path in on_disk else base.read(path)


def _known(path: str, settings: Settings, base: _Base | None = None) -> Known:
    """What the files include is read from the disk, and nothing that lies outside the repository of the first of them, `path`;
    what the base's files include, from the base.
    """
    from bot.discovery import Known  # noqa: PLC0415

    top = _top_of(Path(path))

    def include(named: str) -> bytes | None:
        file = Path(named)
        inside = file.is_file() and _stays(file, Path(top or ".")) and ".git" not in Path(os.path.realpath(file)).parts
        return file.read_bytes() if inside else None

    if base is None:
        return Known(settings.placeholders, top, include, include)
    return Known(settings.placeholders, top, include, base.included, base.blobs)


def _top_of(path: Path) -> str:
    """The repository's folder, written as the path is; without one the current folder, or the file's own if it lies elsewhere."""
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100  without following links, which Path.resolve does
    here = Path.cwd()
    top = next((up for up in (folder, *folder.parents) if (up / ".git").exists()), None)
    top = top or (here if folder.is_relative_to(here) else folder)
    if path.is_absolute():
        return str(top)
    return "" if top == here else os.path.relpath(top)


def _companions(path: str) -> list[str]:
    """The files that belong to a migration, if they are there: its way back, what it expects, and what its tool keeps of it."""
    from bot.discovery import expectation_paths  # noqa: PLC0415
    from bot.layouts import LAYOUTS  # noqa: PLC0415

    pure = PurePosixPath(path)
    names = [path.removesuffix(".up.sql") + ".down.sql", *expectation_paths(path)]
    names += [str(pure.with_name("down.sql"))] if pure.name == "up.sql" else []
    for layout in LAYOUTS:
        if layout.parse(pure):
            names += [str(layout.beside.path(pure))] if layout.beside else []
            names += [str(layout.root(pure) / layout.index.file)] if layout.index else []
    return [name for name in names if Path(name).is_file() and _stays(Path(name), Path(name).parent)]


def _beside(path: Path) -> Iterable[Path]:
    """The files that a tool may hold for one history with this one, and what it keeps beside them: its plan, settings of one."""
    from bot.layouts import LAYOUTS  # noqa: PLC0415

    for folder in {Path(layout.root(PurePosixPath(path))) for layout in LAYOUTS if layout.parse(PurePosixPath(path))}:
        patterns = ("*", "*/*") if folder != path.parent else ("*", "meta/*")
        yield from (file for pattern in patterns for file in folder.glob(pattern) if file.is_file() and _stays(file, folder))


def _stays(path: Path, folder: Path) -> bool:
    """Whether a file that nobody named lies in the folder that it seems to lie in: a link in somebody's branch may lead to any
    file of this machine.
    """
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _rehearse(options: argparse.Namespace) -> int:
    from bot.journal.opening import open_journal  # noqa: PLC0415
    from bot.progress import Progress  # noqa: PLC0415
    from bot.run import rehearse_plan  # noqa: PLC0415
    from bot.verdict import exit_status  # noqa: PLC0415

    settings = replace(_settings(options), network=options.network)
    progress = Progress(quiet=options.quiet)
    if settings.template and settings.template.problem:
        progress.say(f"The template {settings.template.name} is not used: {settings.template.problem}.")
    with _planned(options, settings) as plan, open_journal(settings.journal, progress) as journal:
        report = rehearse_plan(plan, settings, progress, journal=journal)
    status = exit_status(report.verdict)
    for target in options.output:
        _write(*_exported(report, target, options.format, settings))
    if options.open:
        _open(_rendered(report, "html", settings))
    if options.print_sql:
        sys.stderr.write(_rendered(report, options.format, settings, sys.stderr))
        if _all_passed(report):
            sys.stdout.write("".join(_sql_of(plan, report)))
    else:
        sys.stdout.write(_rendered(report, options.format, settings, sys.stdout))
    return status


def _all_passed(report: Report) -> bool:
    """Whatever `fail-on` says, SQL that fails or breaks something is not handed on."""
    from bot.model import Outcome, Severity  # noqa: PLC0415

    return all(m.outcome is Outcome.APPLIED for m in report.migrations) and not any(
        f.severity is Severity.ERROR and f.allowed_reason is None for f in report.findings
    )


def _sql_of(plan: Plan, report: Report) -> list[str]:
    """Each migration's SQL under a comment that names it; a file without a final newline gets one. Of a group what was rehearsed:
    the seed may have run the rest.
    """
    from bot.groups import without  # noqa: PLC0415

    rehearsed = {path for m in report.migrations for path in (m.files or (m.path,))}
    migrations = [without(m, {one.path for one in m.each} - rehearsed) for m in plan.migrations]
    return [f"-- {', '.join(m.files or (m.path,))}\n{m.text}" + ("" if m.text.endswith("\n") else "\n") for m in migrations]


def _list(options: argparse.Namespace) -> int:
    from bot import report  # noqa: PLC0415

    plan = _plan(options, _settings(options))
    sys.stdout.write(report.plan_to_json(plan) if options.format == "json" else report.plan_text(plan))
    return 0


def _reap(options: argparse.Namespace) -> int:
    from datetime import timedelta  # noqa: PLC0415

    from bot.clones import EMBEDDED  # noqa: PLC0415
    from bot.clones.services import forgotten, service_of  # noqa: PLC0415
    from bot.words import count  # noqa: PLC0415

    access = _settings(options).clone
    if access.provider == EMBEDDED:
        raise UsageError(
            "A server of our own leaves nothing behind: it ends with its run, however that ends.",
            advice="Name the service whose clones are to be given back: --clone-provider.",
        )
    if not 0 <= options.older_than <= 24 * 36_500:
        raise UsageError("--older-than is a number of hours.", advice="Give 0 or more, and no more than a hundred years.")
    service = service_of(access)
    try:
        found = forgotten(service, timedelta(hours=options.older_than))
        refused = [error for left in found if (error := _given_back(service, left, dry_run=options.dry_run))]
    finally:
        service.close()
    done = len(found) - len(refused)
    print(f"{count(done, 'clone')} {'would be' if options.dry_run else 'were' if done != 1 else 'was'} given back")
    if refused:
        raise refused[0]
    return 0


def _given_back(service: Service, left: Leftover, *, dry_run: bool) -> ServiceError | None:
    """Why one could not be given back, which keeps no other."""
    from bot.clones.services import ServiceError  # noqa: PLC0415
    from bot.words import one_line  # noqa: PLC0415

    print(f"{one_line(left.name)}  of {left.made_at:%Y-%m-%d %H:%M} UTC", flush=True)
    try:
        if not dry_run:
            service.release(left.handle)
    except ServiceError as error:
        return error
    return None


def _sidecar(options: argparse.Namespace) -> int:
    from bot import sidecar  # noqa: PLC0415

    host, port = sidecar.parse_listen(options.listen)
    started = sidecar.Options(
        upstreams=sidecar.parse_upstreams(options.upstream, options.allow),
        host=host,
        port=port,
        token=os.environ.get("MIGRATION_REHEARSAL_SIDECAR_TOKEN") or None,
        not_done=sidecar.parse_statuses(options.not_done, "--not-done"),
        in_doubt=sidecar.parse_statuses(options.in_doubt, "--in-doubt"),
        max_body=sidecar.parse_limit(options.max_body, "--max-body"),
        max_response=sidecar.parse_limit(options.max_response, "--max-response"),
        connect_timeout_s=sidecar.parse_timeout(options.connect_timeout, "--connect-timeout"),
        upstream_timeout_s=sidecar.parse_timeout(options.timeout, "--timeout"),
    )
    with _opened_journal(options) as journal:
        return sidecar.serve(started, journal)


def _show(options: argparse.Namespace) -> int:
    from bot import report  # noqa: PLC0415

    as_json = options.format == "json"
    if options.limit < 1:
        raise UsageError("--limit is a number of runs.", advice="Give 1 or more.")
    with _opened_journal(options, join=True) as journal:
        store = journal.store
        if not options.which:
            runs = store.runs(options.limit)
            sys.stdout.write(report.runs_to_json(runs) if as_json else report.runs_text(runs))
            return 0
        found = [run for run in store.runs(None) if str(run.run_id).startswith(options.which.lower())]
        if len(found) != 1:
            raise UsageError(
                f"{len(found) or 'No'} runs have an id that begins with {options.which!r}.",
                advice="Look at the runs: migration-rehearsal journal show.",
            )
        steps = store.steps(found[0].run_id)
        sys.stdout.write(report.steps_to_json(found[0], steps) if as_json else report.steps_text(found[0], steps))
    return 0


def _prune(options: argparse.Namespace) -> int:
    from datetime import timedelta  # noqa: PLC0415

    from bot.words import count  # noqa: PLC0415

    if not 0 <= options.older_than <= 36_500:
        raise UsageError("--older-than is a number of days.", advice="Give 0 or more, and no more than a hundred years.")
    with _opened_journal(options, join=True) as journal:
        store = journal.store
        removed, kept = store.prune(timedelta(days=options.older_than), in_doubt=options.in_doubt)
    print(f"{count(removed, 'run')} removed" + (f", {kept} kept that have a step in doubt (see --in-doubt)" if kept else ""))
    return 0


@contextmanager
def _opened_journal(options: argparse.Namespace, *, join: bool = False) -> Iterator[Journal]:
    from bot.journal.opening import open_journal  # noqa: PLC0415
    from bot.journal.runs import Journal  # noqa: PLC0415
    from bot.progress import Progress  # noqa: PLC0415

    place = replace(_settings(options).journal, go_on=False)
    if not place:
        raise UsageError(
            "No journal is named.", advice="Give --journal, or set MIGRATION_REHEARSAL_JOURNAL_URL or …_JOURNAL_FOLDER."
        )
    if join and not place.url and not Path(place.folder or "").exists():
        raise UsageError(f"There is no journal in {place.folder}.", advice="Check the folder's name.")
    with open_journal(place, Progress(), join=join) as journal:
        assert isinstance(journal, Journal)  # noqa: S101  there is to be one, and not to go on without
        yield journal


def _rendered(report: Report, form: str, settings: Settings, stream: TextIO | None = None) -> str:
    """The report as it is shown, on a terminal if `stream` is one."""
    from bot.exports import Look, named  # noqa: PLC0415

    look = Look(settings.show_row_data, settings.template)
    if stream and stream.isatty():
        look = replace(look, color=not os.environ.get("NO_COLOR"), width=shutil.get_terminal_size().columns)
    return named(form).write(report, look)


def _exported(report: Report, target: str, default: str, settings: Settings) -> tuple[str, str]:
    """Where to write, and what."""
    from bot.exports import Look, for_file  # noqa: PLC0415

    form, path = for_file(target, default)
    return path, form.write(report, Look(settings.show_row_data, settings.template))


def _open(page: str) -> None:
    """Shows a page, from a file that stays, as nobody knows when the browser has read it; only its owner may read it."""
    import tempfile  # noqa: PLC0415
    import webbrowser  # noqa: PLC0415

    with tempfile.NamedTemporaryFile("w", suffix=".html", prefix="migration-rehearsal-", delete=False, encoding="utf-8") as file:
        file.write(page)
    shown = webbrowser.open(Path(file.name).as_uri())
    print(f"{'The page is' if shown else 'There is no browser to show the page, which is'} {file.name}", file=sys.stderr)


def _write(target: str, content: str) -> None:
    try:
        Path(target).write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The report could not be written to {target}.",
            why=error.strerror or str(error),
            advice="Name a file in a folder that is there and may be written to.",
        ) from error


def _say_error(error: RehearsalError, options: argparse.Namespace) -> int:
    """Errors go to standard error; with `--format json` a report with verdict `error` goes to standard output too."""
    for line in error.lines():
        print(visible(line), file=sys.stderr)
    if getattr(options, "format", "") == "json" and options.run is _rehearse and not options.print_sql:
        from bot import report  # noqa: PLC0415
        from bot.run import error_report  # noqa: PLC0415

        sys.stdout.write(report.to_json(error_report(error)))
    return error.exit_status


def process() -> int:
    """A process of its own: `main`, and then nothing else."""
    status = main()
    leave_no_garbage_to_look_for()
    return status


if __name__ == "__main__":
    sys.exit(process())
