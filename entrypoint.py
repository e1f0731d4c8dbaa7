#!/usr/bin/env python3
"""The container's entry: without arguments the action, with arguments the command line."""

from __future__ import annotations

import io
import os
import sys

from bot.stepping_down import keep_to_ourselves, step_down


def main() -> int:
    """Steps down from root before anything else; wires the real clients and maps outcomes to exit statuses."""
    try:
        step_down(os.environ.get("GITHUB_WORKSPACE") or ".", os.environ)
        keep_to_ourselves()
    except OSError as refusal:
        print(f"::error title=migration-rehearsal::The program could not step down from root: {refusal}", flush=True)
        return 3
    if len(sys.argv) > 1:
        from bot.cli import main as command_line  # noqa: PLC0415

        return command_line()
    from bot.cli import stop_in_order_on_sigterm  # noqa: PLC0415
    from bot.program import look_for_garbage_less_often  # noqa: PLC0415

    look_for_garbage_less_often()
    from bot.action import github_of, run_action  # noqa: PLC0415
    from bot.errors import RehearsalError, as_fault  # noqa: PLC0415
    from bot.settings import action_settings  # noqa: PLC0415
    from bot.words import visible  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that is no text must not end the program
    stop_in_order_on_sigterm()
    try:
        settings = action_settings(os.environ)
        for secret in settings.secrets():
            print("::add-mask::" + secret.replace("%", "%25"), flush=True)
        return run_action(settings, make_github=github_of)
    except KeyboardInterrupt:
        print("stopped", flush=True)
        return 130
    except Exception as fault:  # noqa: BLE001  exit status 1 would say that a migration fails
        error = fault if isinstance(fault, RehearsalError) else as_fault(fault)
        said = visible(" ".join(error.lines())).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error title=migration-rehearsal::{said}", flush=True)
        return error.exit_status


def process() -> int:
    """A process of its own: `main`, and then nothing else."""
    from bot.program import leave_no_garbage_to_look_for  # noqa: PLC0415

    status = main()
    leave_no_garbage_to_look_for()
    return status


if __name__ == "__main__":
    sys.exit(process())
