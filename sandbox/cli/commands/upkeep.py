"""`sandbox system check`: what is wrong with the store, and mended where that is asked."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.upkeep.findings import Finding, Report

_KINDS = (
    ("images", "image"), ("containers", "container"), ("volumes", "volume"), ("layers", "layer"), ("blobs", "blob"),
    ("build cache", "step of the build cache"),
)  # fmt: skip


def check(invocation: Invocation) -> int:
    """Print what was found; 1 if anything is wrong still."""
    # hashing, unpacking and the rest of the store: for this command alone
    from sandbox.upkeep import operations
    from sandbox.upkeep.check_context import Options

    format_text = invocation.text("format") or "text"
    if format_text not in ("text", "json"):
        raise UsageError(f'"{format_text}" is not a valid value for --format', mend="one of: text, json")
    context = invocation.context
    options = Options(
        repair=invocation.flag("repair"), quick=invocation.flag("quick"), remove=invocation.texts("remove")
    )
    report = operations.check(context.for_operations(), options, context.note)
    if format_text == "json":
        _print_json(invocation, report)
    else:
        for finding in report.findings:
            for line in _lines(finding, repairing=options.repair):
                context.print_quoted(line)
        context.print(_summary(report))
    for note in report.notes:
        context.note(f"note: {note}")
    return 0 if report.is_clean else 1


def _lines(finding: Finding, *, repairing: bool) -> list[str]:
    if finding.repaired:
        state = "removed" if finding.leftover else "mended"
    else:
        state = "left over" if finding.leftover else "wrong"
    lines = [f"{state}: {finding.kind} {finding.name}: {finding.problem}"]
    mends = [finding.mend] if finding.mend else []
    if finding.repairable and not repairing and not finding.leftover:
        mends.insert(0, "sandbox system check --repair")
    lines += [f"  mend: {'; then '.join(mends)}"] if mends else []
    return lines


def _summary(report: Report) -> str:
    counted = ", ".join(_counted(report.checked[key], words) for key, words in _KINDS)
    wrong = sum(not (finding.leftover or finding.repaired) for finding in report.findings)
    mended = sum(finding.repaired and not finding.leftover for finding in report.findings)
    left = sum(finding.leftover for finding in report.findings)
    said = [f"{wrong} wrong" if wrong else "nothing is wrong"]
    said += [f"{mended} mended"] if mended else []
    said += [f"{left} left over by processes that were killed"] if left else []
    return f"Checked {counted}: {', '.join(said)}"


def _counted(count: int, words: str) -> str:
    noun, space, rest = words.partition(" ")
    return f"{count} {noun}{'' if count == 1 else 's'}{space}{rest}"


def _print_json(invocation: Invocation, report: Report) -> None:
    import json

    document = {
        "ok": report.is_clean,
        "checked": report.checked,
        "findings": [finding._asdict() for finding in report.findings],
        "notes": list(report.notes),
    }
    invocation.context.print(json.dumps(document, ensure_ascii=False, indent=2))


COMMANDS: tuple[Command, ...] = (
    Command(
        "system check",
        "Check everything stored against everything recorded",
        "[OPTIONS]",
        (
            option("--repair", "flag", "Mend what is damaged and remove what was left half-made"),
            option("--remove", "list", "With --repair, remove this container's directory, which no record names", "id"),
            option("-q --quick", "flag", "Read no content: digests are not computed, layers not compared"),
            option("--format", "text", "Format the output: 'text' or 'json'", "string", "text"),
        ),
        check,
        most=0,
        examples=("sandbox system check", "sandbox system check --repair --format json"),
    ),
)
