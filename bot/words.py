"""Numbers and names as a reader takes them in; for messages and templates alike."""

from __future__ import annotations

import re

# C0 and C1 controls, bidirectional controls, zero-width characters, line and paragraph separators, tags.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)


# What lets somebody in, wherever it stands: a password in a URL or in libpq's other way of writing one, a signature or token in
# a URL's query, tokens of known services, and the environment variable by which a command is often given one.
_KEYWORD = "(?:host|hostaddr|port|dbname|user|sslmode)"
_VALUE = r"(?:'[^']{0,200}+'|[^\s\"'`,;()]{1,200}+)"
_SECRETS = (
    re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]{0,20}://[^\s/@:?#]{0,200}:)[^\s/\"'`<>]+(?=@)", re.IGNORECASE),
    re.compile(
        r"(?P<kept>[?&](?:password|token|access_token|api_key|sig|signature|x-amz-signature|x-amz-security-token|x-goog-signature)=)"
        r"[^\s&\"'`<>]+",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<kept>\bPGPASSWORD=)(?:'[^']*'|\"[^\"]*\"|[^\s\"'`]+)"),
    # libpq's other way of writing a URL; a word beside tells it from a column that is called so. Of bounded length: a long text
    # takes no longer than its length.
    re.compile(rf"(?P<kept>\b{_KEYWORD}=[^\s,;()]{{1,200}}+\s{{1,9}}(?:ssl)?password=){_VALUE}", re.IGNORECASE),
    re.compile(rf"(?P<kept>\b(?:ssl)?password=){_VALUE}(?=\s{{1,9}}{_KEYWORD}=)", re.IGNORECASE),
    re.compile(r"\b(?P<kept>gh[pousr]_|github_pat_|napi_)\w{16,}"),
    re.compile(r"\b(?P<kept>glpat-|xox[abposr]-)[\w-]{10,}"),
    re.compile(r"\b(?P<kept>AKIA)[0-9A-Z]{16}\b"),
    re.compile(r"(?P<kept>\bBearer )[\w.~+/=-]{16,}"),
)


def masked(text: str) -> str:
    """A text without what lets somebody in, of the shapes that are known; `***` stands in its place."""
    for secret in _SECRETS:
        text = secret.sub(r"\g<kept>***", text)
    return text


def visible(value: object) -> str:
    """Characters that can't be seen, or turn the reading direction, as `\\uXXXX`; bytes that are no text likewise. A line that
    GitHub's runner would take for a command (`::…` at its start, `##[…]` anywhere) is none; what lets somebody in is masked.
    """
    shown = _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value)).encode("utf-8", "backslashreplace").decode()
    return masked(_COMMAND.sub(r"\1\\u003a", shown).replace("##[", r"#\u0023["))


def one_line(value: object) -> str:
    """The same, with line breaks made visible too: for names and messages in a log."""
    return visible(str(value).replace("\r", "\\r").replace("\n", "\\n"))


def without_values(message: str) -> str:
    """A message of PostgreSQL without what it quotes: of a data exception that is a row's value."""
    return re.sub(r'".*"|".*$', "…", message, flags=re.DOTALL)


def said_by(text: str, message: str) -> str:
    """A message without what it quotes, or calls a function, unless a text says it: a name that was put together at run time may
    be a row's value.
    """
    lower = text.lower()

    def shown(found: re.Match[str]) -> str:
        word = last_part(found["quoted"] or found["called"] or "").lower()
        return found[0] if word in lower or not re.search(r"\w", word) else "…"

    return re.sub(r'"(?P<quoted>[^"]*)"|(?<=function )(?P<called>[^\s(]+)(?=\()', shown, message)


def name(text: str) -> str:
    """A name inside a message: the renderer shows what stands between backticks as code, so a name may hold none itself."""
    return "`" + text.replace("`", "ˋ") + "`"


def relation(text: str) -> str:
    """A relation without the schema that everybody expects."""
    return text.removeprefix("public.")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: `1 row`, `2,187 rows`, `2 indexes`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(ms: float) -> str:
    """Milliseconds as a reader takes them in; less than one counts as one."""
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 1 else "1 ms" if ms > 0 else "0 ms"
    seconds = ms / 1000
    return f"{seconds:.1f} s" if seconds < 120 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def size(value: float) -> str:
    """Bytes as a reader takes them in."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 100 else f"{value:.1f} {unit}"


def parts_of(qualified: str) -> list[str]:
    """A name as SQL (`public."Odd.Name".id`) -> its parts without their quotes."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^".]+)', qualified)
    return [quoted.replace('""', '"') or plain for quoted, plain in found]


def last_part(qualified: str) -> str:
    """The last part of a name as SQL, without quotes: the word by which a statement says it."""
    return (parts_of(qualified) or [qualified])[-1]
