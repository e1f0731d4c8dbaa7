"""A command: the tool itself runs its migrations, whatever they are written in. Nothing is found out from files."""

from __future__ import annotations

from bot.layouts.base import Layout, single

COMMAND = Layout(
    name="command",
    tool="the command",
    example="",
    parse=lambda _path: None,
    evidence=lambda _path, _text: None,
    transaction=single,
    one_session=False,
)
