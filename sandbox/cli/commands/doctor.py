"""`sandbox doctor`: what this machine gives, and how to mend what is missing."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.doctor.check import Check

_MARKS = {"ok": "ok     ", "warning": "warning", "failure": "FAILURE"}


def doctor(invocation: Invocation) -> int:
    """Run the checks, or explain some; 1 where the main job cannot run."""
    # the checks bring the runtime, the network and storage: only this command wants them all
    from sandbox.doctor.check import this_machine
    from sandbox.doctor.checkup import EXAMINATIONS, is_fit, run_checks

    context = invocation.context
    format_text = invocation.text("format") or "table"
    if format_text not in ("table", "json"):
        raise UsageError(f'invalid argument "{format_text}" for "--format": must be table or json')
    if invocation.flag("apparmor-profile"):
        from sandbox.doctor.identity import apparmor_profile

        context.stdout.write(apparmor_profile())
        return 0
    for name in invocation.arguments:
        if name not in EXAMINATIONS:
            raise UsageError(f"no such check: {name}", mend=f"one of: {' '.join(EXAMINATIONS)}")
    checks: list[Check] = []
    for check in run_checks(this_machine(context.find_paths(), context.env), invocation.arguments or EXAMINATIONS):
        checks.append(check)
        if format_text == "table":
            _print_check(invocation, check)
    if format_text == "json":
        _print_json(invocation, checks)
    elif not invocation.arguments:
        _print_summary(invocation, checks)
    return 0 if is_fit(checks) else 1


def _print_check(invocation: Invocation, check: Check) -> None:
    context = invocation.context
    context.print(f"{_MARKS[check.status]}  {check.name:<18} {check.detail}")
    for word, text in (("cause", check.cause), ("mend", check.mend)):
        if text:
            admin = "   (needs an administrator)" if word == "mend" and check.needs_admin else ""
            context.print(f"{'':28} {word}: {text}{admin}")
    if invocation.arguments:
        from sandbox.doctor.explanations import EXPLANATIONS

        context.print(f"\n{_wrapped(EXPLANATIONS[check.name])}\n")
    context.stdout.flush()


def _print_summary(invocation: Invocation, checks: list[Check]) -> None:
    failures = sum(check.status == "failure" for check in checks)
    warnings = sum(check.status == "warning" for check in checks)
    verdict = "cannot run here" if failures else "can run here"
    invocation.context.print(f"\nsandbox run -p {verdict}: {failures} failures, {warnings} warnings")
    if failures or warnings:
        invocation.context.print("sandbox doctor NAME explains a line")


def _print_json(invocation: Invocation, checks: list[Check]) -> None:
    import json

    rows = [{**check._asdict(), "code": check.name} for check in checks]
    document = {"fit": all(check.status != "failure" for check in checks), "checks": rows}
    invocation.context.print(json.dumps(document, indent=4, ensure_ascii=False))


def _wrapped(text: str) -> str:
    from textwrap import fill

    return fill(text, 100)


COMMANDS: tuple[Command, ...] = (
    Command(
        path="system doctor",
        summary="Try what each feature needs, and say how to mend what is missing",
        usage="[OPTIONS] [CHECK...]",
        options=(
            option("--format", "text", "Format the output: table or json", "string"),
            option("--apparmor-profile", "flag", "Print the AppArmor profile that gives sandbox user namespaces"),
        ),
        handler=doctor,
        examples=("sandbox doctor", "sandbox doctor --format json", "sandbox doctor subids"),
    ),
)
