"""Options of `docker build` and `docker buildx build` that change nothing here, or cannot be had: each says why.

Scripts pass them out of habit. What is so anyway is accepted; what would be missing from the result without a word is
an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cli.flags import option
from sandbox.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from sandbox.cli.command import Invocation

_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False", ""})

#: nothing to do: intermediate containers never stay, nothing is sent anywhere, an image's signature is not looked at
_ACCEPTED = (
    option(
        "--rm", "flag", "Remove intermediate containers after a successful build: none stay", default=True, hidden=True
    ),
    option("--force-rm", "flag", "Always remove intermediate containers: none stay", hidden=True),
    option("--compress", "flag", "Compress the build context: it is not sent anywhere", hidden=True),
    option("--disable-content-trust", "flag", "Skip image verification: there is none", default=True, hidden=True),
)
_ATTESTATIONS = (
    option(
        "--provenance",
        "text",
        'Shorthand for "--attest=type=provenance"; only "false" can be had',
        "string",
        bare="true",
    ),
    option("--sbom", "text", 'Shorthand for "--attest=type=sbom"; only "false" can be had', "string", bare="true"),
    option("--attest", "list", 'Attestation parameters; only "disabled=true" can be had', "stringArray"),
)
_LIMITS = tuple(
    option(names, "text", "Not there for builds", "string", hidden=True)
    for names in ("-m --memory", "--memory-swap", "-c --cpu-shares", "--cpu-period", "--cpu-quota", "--cpuset-cpus",
                  "--cpuset-mems", "--cgroup-parent")
)  # fmt: skip
_OTHERS = (
    option("--builder", "text", 'Override the configured builder instance: there is one, "default"', "string"),
    option("--isolation", "text", "Container isolation technology: default", "string", hidden=True),
    option("--security-opt", "list", "Not there for builds", "stringArray", hidden=True),
    option("--squash", "flag", "Not there, nor in BuildKit", hidden=True),
)
OPTIONS = (*_ACCEPTED, *_ATTESTATIONS, *_LIMITS, *_OTHERS)


def refuse_impossible(invocation: Invocation) -> None:
    """Raises UsageError for an option that cannot be had, and says what to do instead."""
    for key, what in (("provenance", "provenance attestation"), ("sbom", "software bill of materials")):
        if (invocation.text(key) or "") not in _FALSE:
            raise UsageError(
                f"--{key}: a {what} is not made", cause="images are built without attestations",
                mend=f"leave it out, or --{key}=false",
            )  # fmt: skip
    for text in invocation.texts("attest"):
        if "disabled=true" not in text.split(","):
            raise UsageError(
                f"--attest {text}: no attestation is made", cause="images are built without attestations",
                mend="leave it out, or say disabled=true",
            )  # fmt: skip
    for limit in _LIMITS:
        if invocation.given(limit.key):
            raise UsageError(
                f"--{limit.key}: the steps of a build cannot be limited", cause="BuildKit ignores it without a word",
                mend="leave it out; to hold one command: RUN with ulimit, or build under systemd-run --user --scope",
            )  # fmt: skip
    _refuse_others(invocation)


def _refuse_others(invocation: Invocation) -> None:
    if invocation.text("builder") not in (None, "", "default"):
        raise NotFoundError(f"no builder {invocation.text('builder')!r} found", cause="there is one, default")
    if invocation.text("isolation") not in (None, "", "default"):
        raise UsageError(f"--isolation {invocation.text('isolation')}: only default is there on Linux")
    if invocation.given("security-opt"):
        raise UsageError("--security-opt: a build has the default profile", mend="leave it out")
    if invocation.flag("squash"):
        raise UsageError(
            "--squash: layers are not squashed", cause="BuildKit has no squash either",
            mend="a last stage with COPY --from=… / / is one layer",
        )  # fmt: skip
