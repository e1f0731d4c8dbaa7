"""Jinja's environment for Markdown: what no filter has made Markdown is escaped as it is written. Jinja's autoescape, by our
rules instead of HTML's, and also where Jinja escapes by itself: what HTML escapes can still hold a mention or a link.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

from jinja2 import Environment, StrictUndefined, nodes, pass_environment
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateSyntaxError
from jinja2.filters import make_attrgetter
from jinja2.loaders import BaseLoader
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from bot.escaping import escape_markdown

_MAKE_HTML = ("tojson", "urlize", "xmlattr")  # filters whose HTML lets links and mentions through


class Markdown(Markup):
    """Markdown that is ready to be written. What is put to it is escaped; a part of it is a mere text: half a span is none."""

    __slots__ = ()

    @classmethod
    def escape(cls, s: Any, /) -> Markdown:
        """As Markdown, whatever it is."""
        return cls(s if isinstance(s, Markup) else escape_markdown(s))

    def __getitem__(self, at: Any, /) -> str:  # type: ignore[override]
        return str(self)[at]

    def split(self, /, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:  # type: ignore[override]
        """The parts, as texts."""
        return str(self).split(sep, maxsplit)

    def rsplit(self, /, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:  # type: ignore[override]
        """The parts, as texts."""
        return str(self).rsplit(sep, maxsplit)


def markdown_environment(loader: BaseLoader, filters: dict[str, Callable[..., str]], *, sandboxed: bool) -> Environment:
    """An environment whose templates write Markdown; `filters` are those that give it."""
    environment = (ImmutableSandboxedEnvironment if sandboxed else Environment)(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
        finalize=_written,
    )
    environment.code_generator_class = _Joining
    for name in _MAKE_HTML:
        del environment.filters[name]
    escaping = {"e": _written, "escape": _written, "forceescape": lambda value: Markdown(escape_markdown(value))}
    environment.filters |= escaping | {"safe": Markdown, "join": _joined, "replace": _replaced}
    environment.filters |= {name: _as_markdown(made) for name, made in filters.items()}
    return environment


def refuse_what_is_lost(environment: Environment, own: str, name: str, base: str) -> None:
    """Raises TemplateSyntaxError for what Jinja leaves out unsaid of a template that extends `base`: a block that this one does
    not have, and what stands outside of blocks.
    """
    tree = environment.parse(own)
    if not any(isinstance(node, nodes.Extends) and _is_constant(node.template, base) for node in tree.body):
        return
    there = environment.get_template(base).blocks
    for node in tree.body:
        if isinstance(node, nodes.Block) and node.name not in there:
            near = difflib.get_close_matches(node.name, there, n=1, cutoff=0.5)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise TemplateSyntaxError(f"{base} has no block {node.name!r}{meant}", node.lineno, name)
        if isinstance(node, nodes.Output) and (first := next(filter(_is_seen, node.nodes), None)):
            raise TemplateSyntaxError("what stands outside of blocks would not be shown", _line(first), name)


def _is_seen(node: nodes.Expr) -> bool:
    return not isinstance(node, nodes.TemplateData) or bool(node.data.strip())


def _line(node: nodes.Expr) -> int:
    """Where a text begins that can be seen."""
    if not isinstance(node, nodes.TemplateData):
        return node.lineno
    return node.lineno + node.data[: len(node.data) - len(node.data.lstrip())].count("\n")


def _is_constant(node: nodes.Node, value: str) -> bool:
    return isinstance(node, nodes.Const) and node.value == value


def _written(value: object) -> object:
    """A value as a template writes it: what is no Markdown yet is escaped, so that no template can forget it."""
    return value if isinstance(value, Markup | int | float) else Markdown.escape(value)


def _as_markdown(made: Callable[..., str]) -> Callable[..., Markdown]:
    """The same filter; what it gives is not escaped again."""
    return lambda *values, **more: Markdown(made(*values, **more))  # each filter escapes what it is given


class _Joining(CodeGenerator):
    """`a ~ b` as the filter `join` does it."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  Jinja's name
        self.write("environment.filters['join'](environment, (")
        for each in node.nodes:
            self.visit(each, frame)
            self.write(", ")
        self.write("))")


@pass_environment
def _joined(environment: Environment, values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    """Jinja's filter: a text of texts, and Markdown where one of them is, of which the others are escaped."""
    parts = list(values if attribute is None else map(make_attrgetter(environment, attribute), values))
    if any(isinstance(part, Markup) for part in (d, *parts)):
        return Markdown.escape(d).join(parts)
    return str(d).join(map(str, parts))


def _replaced(value: object, old: str, new: str, count: int = -1) -> str:
    """Jinja's filter; what is changed is a mere text again."""
    return str(value).replace(str(old), str(new), -1 if count is None else count)
