"""Inputs, command line and environment -> one frozen Settings. Nobody else reads the environment.

`INPUTS` is the one list of what can be set: action.yml, the README's table and the command line are held against it by tests.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from bot.clones import EMBEDDED, EMPTY, PROVIDERS, check_provider
from bot.clones.services.base import Access
from bot.configuration import Configuration, read_configuration
from bot.errors import UsageError
from bot.journal.place import Place
from bot.layouts import named
from bot.model import Severity, Template
from bot.production import Production, number_of_rows, read_statistics, with_rows
from bot.team import FILE, Expected, Sizes
from bot.verdict import FAIL_ON

CHECKS = ("status", "check-run", "both")
_LONGEST = 4096  # bytes in a line of an input, as in a path


@dataclass(frozen=True, slots=True)
class Input:
    """One input of the action; `flag` is its option on the command line, if it has one. `variable`: the command line takes it
    from the environment alone, as a secret has no place among a process's arguments. `values`: what it may be, in words; `key`:
    whether a team may set it in its file.
    """

    name: str
    default: str
    help: str
    flag: str | None = None
    variable: bool = False
    values: str = "a text"
    key: bool = False

    @property
    def environment(self) -> str | None:
        """The variable from which the command line takes it, if it knows it at all."""
        return f"MIGRATION_REHEARSAL_{self.name.upper().replace('-', '_')}" if self.flag or self.variable else None


def _either(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


_FLAG, _NUMBER = "`true` or `false`", "a number above 0"


INPUTS = (
    Input("token", "${{ github.token }}", "Token that reads the pull request and writes the comment and the status."),
    Input(
        "seed",
        "",
        "Dump to rehearse on: a path or an https URL. Empty: the base branch's own migrations.",
        "--seed",
        values="a path or a URL",
    ),
    Input("seed-sql", "", "SQL file to run after the seed is there: test data, for instance.", "--seed-sql", values="a path"),
    Input(
        "seed-folder",
        "",
        "Folder that keeps the restored seed for the next run. Empty: nothing is kept.",
        "--seed-folder",
        values="a path",
    ),
    Input(
        "layout",
        "",
        "Migration tool whose files these are; empty: found out from the files.",
        "--layout",
        values="a [layout](layouts.md)",
        key=True,
    ),
    Input(
        "migrations",
        "",
        "Folders or globs that hold migrations, one a line; empty: found out.",
        "--migrations",
        values="folders or globs",
        key=True,
    ),
    Input(
        "placeholders",
        "",
        "Values for the names in files like `${name}`: `name=value`, one a line.",
        "--placeholder",
        values="`name=value`",
        key=True,
    ),
    Input(
        "clone-provider",
        "embedded",
        "Where clones come from: a server of our own, or a service that has the data already (docs/clones).",
        "--clone-provider",
        values=_either(PROVIDERS),
    ),
    Input(
        "clone-url",
        "",
        "Where that service is; of `server` the URL of the template database, best a secret.",
        variable=True,
        values="a URL",
    ),
    Input("clone-token", "", "What lets us into that service: a secret.", variable=True),
    Input(
        "clone-options",
        "",
        "What else that service must know, as docs/clones says: `name=value`, one a line.",
        "--clone-option",
        values="lines `name=value`",
    ),
    Input(
        "fail-on",
        "error",
        "Least severity that fails the check: error, warning or never.",
        "--fail-on",
        values=_either(FAIL_ON),
        key=True,
    ),
    Input(
        "check",
        "status",
        "How the result is reported on the commit: status, check-run or both.",
        values=_either(CHECKS),
        key=True,
    ),
    Input(
        "neutral-warnings",
        "false",
        "Whether a check run with warnings only is neutral instead of a success.",
        values=_FLAG,
        key=True,
    ),
    Input(
        "large-table-rows",
        "10000",
        "Tables with fewer rows are small: rewriting one is no finding.",
        "--large-table-rows",
        values=_NUMBER,
        key=True,
    ),
    Input(
        "max-reads-blocked-ms",
        "500",
        "Milliseconds that reads of a table may wait; ten times as many are an error.",
        "--max-reads-blocked-ms",
        values=_NUMBER,
        key=True,
    ),
    Input(
        "max-writes-blocked-ms",
        "1000",
        "Milliseconds that writes of a table may wait; ten times as many are an error.",
        "--max-writes-blocked-ms",
        values=_NUMBER,
        key=True,
    ),
    Input(
        "production-rows",
        "",
        "How large production is, where the seed is smaller: its rows in all, or a file of statistics.",
        "--production-rows",
        values="a number of rows, or a [path](production-rows.md)",
    ),
    Input("time-limit", "60", "Minutes that one migration may take.", "--time-limit", values=_NUMBER, key=True),
    Input(
        "way-back",
        "true",
        "Whether down parts are tried, and files that run in no transaction run twice.",
        "--way-back",
        values=_FLAG,
        key=True,
    ),
    Input(
        "postgres-bin",
        "",
        "Folder with PostgreSQL's programs, or `wheel` for the embedded ones.",
        "--postgres-bin",
        values="a path, or `wheel`",
    ),
    Input(
        "role",
        "",
        "Role that migrations run as; empty: the owner of most of the seed's tables.",
        "--role",
        values="the name of a role",
        key=True,
    ),
    Input(
        "superuser",
        "false",
        "Whether that role is a superuser: only where nobody else opens pull requests.",
        "--superuser",
        values=_FLAG,
    ),
    Input(
        "extensions",
        "",
        "More extensions that migrations may create though these are not trusted.",
        "--extensions",
        values="names of extensions",
        key=True,
    ),
    Input(
        "show-row-data",
        "false",
        "Whether DETAIL of errors, which holds row values, may be shown.",
        "--show-row-data",
        values=_FLAG,
    ),
    Input("rerun", "", "`force` rehearses anew what the journal holds already.", "--rerun", values="`force`"),
    Input(
        "journal-url",
        "",
        "PostgreSQL that keeps the journal: a URL, best a secret. Empty: journal-folder.",
        "--journal",
        values="a URL of PostgreSQL",
    ),
    Input(
        "journal-folder",
        "~/.migration-rehearsal/journal",
        "Folder that keeps the journal instead.",
        "--journal",
        values="a path",
    ),
    Input("journal-key", "", "Long secret that seals secrets in the journal; an old one in a second line.", variable=True),
    Input(
        "journal-failure",
        "",
        "When it can't be used: stop (empty: with a URL) or continue (with a folder).",
        "--journal-failure",
        values="`stop` or `continue`",
    ),
    Input("comment", "true", "Whether to comment on the pull request.", values=_FLAG, key=True),
    Input(
        "template",
        "",
        "Your own template for the comment, of the base branch: docs/templates.md.",
        "--template",
        values="a path",
        key=True,
    ),
    Input("report", "migration-rehearsal.json", "Where to write the JSON report, relative to the workspace.", values="a path"),
    Input(
        "reports",
        "",
        "More reports, one a line: of the format that the ending says (.sarif, .xml, .html, .md), or `code-quality=FILE`.",
        values="paths",
    ),
    Input("pull-request", "", "Number of the pull request, for workflow_dispatch.", values="a number"),
)

# What a team may set for all its pull requests, in the file of bot/configuration.py: nothing that names a secret or a file.
CONFIGURABLE = tuple(one.name for one in INPUTS if one.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What decides how a run is done."""

    seed: str | None = None
    seed_sql: str | None = None
    seed_folder: str | None = None
    layout: str | None = None
    migrations: tuple[str, ...] = ()
    placeholders: Mapping[str, str] = field(default_factory=dict, repr=False)  # they may be secrets
    clone: Access = Access(EMBEDDED)  # noqa: RUF009  frozen
    fail_on: str = "error"
    neutral_warnings: bool = False
    large_table_rows: int = 10_000
    max_reads_blocked_ms: float = 500.0
    max_writes_blocked_ms: float = 1000.0
    production: Production = Production()  # noqa: RUF009  frozen
    time_limit_s: float = 3600.0
    way_back: bool = True
    postgres_bin: str | None = None
    show_row_data: bool = False
    role: str | None = None
    superuser: bool = False
    extensions: tuple[str, ...] = ()
    force: bool = False
    severities: Mapping[str, Severity | None] = field(default_factory=dict)
    rule_options: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sizes: Sizes = Sizes()  # noqa: RUF009  frozen
    expectations: tuple[Expected, ...] = ()
    ignored_paths: tuple[str, ...] = ()
    template: Template | None = None  # without its text, until somebody has read it
    network: bool = False  # whether a command may reach more than the clone
    journal: Place = Place()  # noqa: RUF009  frozen

    @property
    def data_is_there(self) -> bool:
        """Whether what is rehearsed on holds data, and a history, before anything is run: a dump, or a service's clone."""
        return self.seed is not None or self.clone.provider not in (EMBEDDED, *EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSettings:
    """What the action knows besides: where GitHub is, what started it, and where its answers go."""

    settings: Settings
    wrong: UsageError | None  # an input that can't be understood: said on the pull request, so that its author sees it
    token: str = field(repr=False)
    event_name: str
    event_path: str
    repository: str
    sha: str
    api_url: str = "https://api.github.com"
    workspace: str = "."
    run_url: str | None = None
    attempt: str = ""  # names this very attempt of the workflow run
    check: str = "status"
    comment: bool = True
    report: str = "migration-rehearsal.json"
    reports: tuple[str, ...] = ()  # as `format=path`, or a path whose ending says it
    pull_request: int | None = None
    output_path: str | None = None
    summary_path: str | None = None
    given: Mapping[str, str] = field(default_factory=dict, repr=False)  # the inputs as they came

    def secrets(self) -> list[str]:
        """What no log may show, line by line, as the runner masks lines."""
        journal, clone = self.settings.journal, self.settings.clone
        given = [self.token, journal.url or "", *_passwords(journal.url), *(journal.key or "").splitlines()]
        given += [clone.url or "", *_passwords(clone.url), clone.token or ""]
        return [secret.strip() for secret in given if secret.strip()]


_PASSWORD = re.compile(r"\b(?:ssl)?password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]+))", re.IGNORECASE)


def _passwords(url: str | None) -> list[str]:
    """The passwords in a URL, or in libpq's other way of writing it, as they stand there and as they are meant."""
    found = [quoted or plain for quoted, plain in _PASSWORD.findall(url or "")]
    with suppress(ValueError):  # said when it is used
        found.insert(0, urlsplit(url or "").password or "")
    return [*dict.fromkeys(way for password in found if password for way in (password, unquote(password)))]


def configured(given: Mapping[str, str], content: bytes, file: str = FILE) -> Settings:
    """The same inputs with what a team's file says. Raises UsageError with its line."""
    return settings_from(given, _read(content, file))


def action_configured(action: ActionSettings, content: bytes) -> ActionSettings:
    """The same for the action, which learns from the file how to tell as well. A mistake in it is kept, to be said where somebody
    looks: in both ways, as it is not known which one the team means, unless the workflow says it.
    """
    try:
        found = _read(content, FILE)
        told = _over(action.given, found)
        return replace(
            action,
            settings=settings_from(action.given, found),
            check=_one_of(told, "check", CHECKS),
            comment=_flag(told, "comment"),
        )
    except UsageError as error:
        return replace(action, wrong=error, check="both" if _is_default("check", action.given.get("check")) else action.check)


def _read(content: bytes, file: str) -> Configuration:
    from bot.rules import settable  # noqa: PLC0415  thirty modules that runs without the file do not pay for here

    return read_configuration(content, CONFIGURABLE, settable(), _refuse_what_no_input_can_be, file=file)


def _refuse_what_no_input_can_be(name: str, value: str) -> None:
    settings_from({name: value})
    if name == "check":
        _one_of({name: value}, name, CHECKS)
    if name == "comment":
        _flag({name: value}, name)


def _over(given: Mapping[str, str], configuration: Configuration) -> dict[str, str]:
    """The inputs that say something, as text without space around it: of what a workflow leaves as it is, what the file says."""
    inputs = {**given, **{name: value for name, value in configuration.inputs.items() if _is_default(name, given.get(name))}}
    return {name: value.strip() for name, value in inputs.items() if value and value.strip()}


def settings_from(inputs: Mapping[str, str], configuration: Configuration = Configuration()) -> Settings:  # noqa: B008  frozen
    """Takes inputs by name (an empty one counts as absent) to Settings; what is not given, or is the default, may come from the
    team's configuration. Raises UsageError that names the input.
    """
    given = _over(inputs, configuration)
    _refuse_what_is_no_text(given)
    if layout := given.get("layout"):
        named(layout)
    return Settings(
        seed=given.get("seed"),
        seed_sql=given.get("seed-sql"),
        seed_folder=_home_filled_in(given, "seed-folder"),
        layout=layout,
        migrations=tuple(line.strip() for line in given.get("migrations", "").splitlines() if line.strip()),
        placeholders=_named_values("placeholders", given.get("placeholders", ""), "schema=app"),
        clone=_access(given),
        fail_on=_one_of(given, "fail-on", FAIL_ON),
        neutral_warnings=_flag(given, "neutral-warnings"),
        large_table_rows=int(_number(given, "large-table-rows")),
        max_reads_blocked_ms=_number(given, "max-reads-blocked-ms"),
        max_writes_blocked_ms=_number(given, "max-writes-blocked-ms"),
        production=with_rows(_production(given.get("production-rows", "")), configuration.sizes.rows),
        time_limit_s=max(min(_number(given, "time-limit"), 10_000) * 60, 0.001),
        way_back=_flag(given, "way-back"),
        postgres_bin=given.get("postgres-bin"),
        show_row_data=_flag(given, "show-row-data"),
        role=_role(given.get("role")),
        superuser=_flag(given, "superuser"),
        extensions=tuple(re.split(r"[\s,]+", given["extensions"])) if "extensions" in given else (),
        force=_one_of(given, "rerun", ("", "force")) == "force",
        journal=_journal(given),
        template=Template(given["template"]) if "template" in given else None,
        severities=configuration.severities,
        rule_options=configuration.options,
        sizes=configuration.sizes,
        expectations=configuration.expectations,
        ignored_paths=configuration.ignored_paths,
    )


def _is_default(name: str, value: str | None) -> bool:
    return not value or not value.strip() or value.strip() == _default(name)


def _refuse_what_is_no_text(inputs: Mapping[str, str]) -> None:
    for name, value in inputs.items():
        try:
            readable = "\0" not in os.fsencode(value).decode(errors="replace")
        except UnicodeEncodeError:
            readable = False
        if not readable or any(len(os.fsencode(line)) > _LONGEST for line in value.splitlines()):
            raise UsageError(
                f"The input {name} holds what no name or path can hold: a NUL, half a character, or more than {_LONGEST} bytes.",
                advice="Check where it comes from.",
            )


def _named_values(what: str, given: str, example: str) -> dict[str, str]:
    """Lines `name=value` of an input. Whatever is wrong, no value is told. Raises UsageError."""
    found: dict[str, str] = {}
    for number, line in enumerate(given.splitlines(), start=1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not line.strip():
            continue
        if not equals or not re.fullmatch(r"[^\s{}$'\"]+", name) or name in found:
            raise UsageError(
                f"The input {what} has no name and value in its line {number}, or a name that it had before.",
                why="A value holds no line break: lines of a migration would not be those of its file any more.",
                advice=f"Give one in each line, as in `{example}`.",
            )
        found[name] = value
    return found


def _access(given: Mapping[str, str]) -> Access:
    """The service that clones come from. What it needs besides is asked for when it is used. Raises UsageError."""
    return Access(
        check_provider(given.get("clone-provider", EMBEDDED)),
        given.get("clone-url"),
        given.get("clone-token"),
        _named_values("clone-options", given.get("clone-options", ""), "project=cold-sky-123"),
    )


def _role(given: str | None) -> str | None:
    """A name that is nobody else's. Raises UsageError."""
    taken = given and (given.startswith("pg_") or given in ("migration_rehearsal", "public", "none"))
    if given and (taken or not given.isprintable() or len(given.encode()) > 63):
        raise UsageError(
            f"The input role is {given!r}, which can't be the role of a migration.",
            why="PostgreSQL or this program has another use for it, or it is longer than 63 bytes, or not all of it can be seen.",
            advice="Give the name of the role that your migration tool connects as.",
        )
    return given


def _production(given: str) -> Production:
    """A number is production's rows in all; anything else the path of a file of statistics."""
    if not given:
        return Production()
    digits = given.replace("_", "").replace(",", "")
    if (total := number_of_rows(digits)) is not None:
        return Production(total=total)
    try:
        _refuse_what_is_no_file(given)
        with Path(given).open(encoding="utf-8", newline="") as lines:
            return read_statistics(lines, given)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "It is no text in UTF-8."
        raise UsageError(
            f"The input production-rows is {given!r}: no number, and no file that can be read.",
            why=why or "",
            advice="Give a number of rows, or the path of a file made as docs/production-rows.md says.",
        ) from error


def _refuse_what_is_no_file(path: str) -> None:
    """A device or a pipe may give bytes for ever. Raises OSError, ValueError for a path that can't be one."""
    if Path(path).exists() and not Path(path).is_file():
        raise OSError(0, "It is no file.")


def _journal(given: Mapping[str, str]) -> Place:
    """Where the journal is. Without anything given there is none: the action's own default comes as an input."""
    url, folder = given.get("journal-url"), given.get("journal-folder")
    # Nobody asked for the folder, which is the action's default: that it can't be used must not stop a check.
    default = "continue" if folder and not url else "stop"
    return Place(
        url=url,
        folder=_home_filled_in(given, "journal-folder"),
        key=given.get("journal-key"),
        go_on=(_one_of(given, "journal-failure", ("", "stop", "continue")) or default) == "continue",
        postgres_bin=given.get("postgres-bin"),
    )


def _home_filled_in(given: Mapping[str, str], name: str) -> str | None:
    folder = given.get(name)
    try:
        return str(Path(folder).expanduser()) if folder else None
    except RuntimeError as error:
        raise UsageError(f"The home folder in the input {name}, {folder}, can't be found.", advice="Write it out.") from error


def action_settings(environment: Mapping[str, str]) -> ActionSettings:
    """Takes the environment that GitHub's runner gives a container action to ActionSettings. Raises UsageError."""
    inputs = {i.name: environment.get(f"INPUT_{i.name.upper()}", "") for i in INPUTS}
    token = inputs["token"].strip()
    if not token:
        raise UsageError(
            "There is no token.",
            why="The input `token` is empty, so neither the pull request can be read nor the result written.",
            advice="Leave the input out (it defaults to the workflow's own token) or give it a secret that exists.",
        )
    number = inputs["pull-request"].strip()
    if number and not (number.isascii() and number.isdigit() and len(number) < 19):
        raise UsageError(f"The input pull-request is {number!r}, which is no number.", advice="Give it as in `pull-request: 42`.")
    settings, comment, report, wrong = Settings(), True, _default("report"), None
    reports: tuple[str, ...] = ()
    workspace = environment.get("GITHUB_WORKSPACE") or "."
    given = {name: value.strip() for name, value in inputs.items() if value.strip()}
    # Known before all others, so that what is wrong with them is said where somebody looks; where it is itself wrong, in both.
    check = next((known for known in CHECKS if known == given.get("check", _default("check")).lower()), "both")
    try:
        _refuse_what_is_no_text(inputs)
        _refuse_links_out(inputs, workspace)
        report = _inside_workspace(inputs["report"].strip() or report)
        reports = tuple(_report(line.strip()) for line in inputs["reports"].splitlines() if line.strip())
        settings = settings_from(inputs)
        _outside_workspace("journal-folder", settings.journal.folder, workspace)
        _outside_workspace("seed-folder", settings.seed_folder, workspace)
        comment = _flag(given, "comment")
        _one_of(given, "check", CHECKS)
    except UsageError as error:
        wrong = error
    server, repository = environment.get("GITHUB_SERVER_URL"), _needed(environment, "GITHUB_REPOSITORY")
    run_id = environment.get("GITHUB_RUN_ID")
    return ActionSettings(
        settings=settings,
        wrong=wrong,
        token=token,
        event_name=_needed(environment, "GITHUB_EVENT_NAME"),
        event_path=_needed(environment, "GITHUB_EVENT_PATH"),
        repository=repository,
        sha=environment.get("GITHUB_SHA", ""),
        api_url=environment.get("GITHUB_API_URL") or "https://api.github.com",
        workspace=workspace,
        attempt=f"{run_id}.{environment.get('GITHUB_RUN_ATTEMPT', '1')}" if run_id else "",
        run_url=f"{server}/{repository}/actions/runs/{run_id}" if server and run_id else None,
        check=check,
        comment=comment,
        report=report,
        reports=reports,
        pull_request=int(number) if number else None,
        output_path=environment.get("GITHUB_OUTPUT"),
        summary_path=environment.get("GITHUB_STEP_SUMMARY"),
        given=inputs,
    )


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise UsageError(
            f"{name} is not set: this does not run as a step of a GitHub workflow.",
            advice="On a command line use `migration-rehearsal rehearse`; `migration-rehearsal --help` tells more.",
        )
    return value


def _inside_workspace(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise UsageError(f"The report {path!r} leaves the workspace.", advice="Give a relative path.")
    return path


def _report(target: str) -> str:
    """A report beside the JSON one, as `format=path` or a path."""
    _inside_workspace(target.partition("=")[2] or target)
    return _inside_workspace(target)


def _refuse_links_out(inputs: Mapping[str, str], workspace: str) -> None:
    """What the workflow names in the checkout is read only if it lies there: a pull request can make a link of it that leads to
    whatever this machine has.
    """
    top = os.path.abspath(workspace)  # noqa: PTH100  without following links, which Path.resolve does
    for name in ("seed", "seed-sql", "production-rows"):
        given = inputs[name].strip()
        path = Path(os.path.abspath(os.path.join(top, given)))  # noqa: PTH100, PTH118  and `..` taken away
        if (
            "://" not in given
            and path.is_relative_to(top)
            and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(top))
        ):
            raise UsageError(
                f"The input {name} is {given!r}, a link that leads out of the workspace.",
                why="Whoever opens a pull request can make it lead to any file of this machine.",
                advice="Name the file itself, or copy it into the workspace.",
            )


def _default(name: str) -> str:
    return next(i.default for i in INPUTS if i.name == name)


# What a pull request could bring in such a folder, and where it is better.
_BROUGHT = {
    "journal-folder": ("a journal that says it was rehearsed", _default("journal-folder")),
    "seed-folder": ("data that is not production's", "~/.rehearsal-seeds"),
}


def _outside_workspace(name: str, folder: str | None, workspace: str) -> None:
    if folder and Path(folder).resolve().is_relative_to(Path(workspace).resolve()):
        brought, usual = _BROUGHT[name]
        raise UsageError(
            f"The input {name} is {folder!r}, which lies in the workspace.",
            why=f"A pull request's own files lie there: it could bring {brought}.",
            advice=f"Choose a folder elsewhere, as in the home folder of the action's container: {usual}.",
        )


def _one_of(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = given.get(name, _default(name)).lower()
    if value not in choices:
        raise UsageError(f"The input {name} is {value!r}.", advice=f"Choose one of: {', '.join(filter(None, choices))}.")
    return value


def _number(given: Mapping[str, str], name: str) -> float:
    value = given.get(name, _default(name)).replace("_", "")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9:
        raise UsageError(f"The input {name} is {value!r}.", advice="Give a number greater than 0, and below a thousand million.")
    return number


def _flag(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, _default(name)).lower()
    if value in ("true", "yes", "on", "1"):
        return True
    if value in ("false", "no", "off", "0"):
        return False
    raise UsageError(f"The input {name} is {value!r}.", advice="Say true or false.")
