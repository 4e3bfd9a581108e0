"""`login` and `logout`."""

from __future__ import annotations

import sys

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Context, Invocation


def login(invocation: Invocation) -> int:
    """Ask for what was not given, try it, keep it."""
    from sandbox.image.registry.docker_config import Credentials
    from sandbox.image.transfer.login import log_in, registry_domain

    context = invocation.context
    domain = registry_domain(invocation.arguments[0] if invocation.arguments else "")
    user, password = invocation.text("username"), invocation.text("password")
    if invocation.flag("password-stdin"):
        if password is not None:
            raise UsageError("--password and --password-stdin are mutually exclusive")
        if not user:
            raise UsageError("Must provide --username with --password-stdin")
        password = sys.stdin.read().rstrip("\r\n")
    elif password is not None:
        context.note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    user = user if user is not None else _ask(context, "Username: ", secret=False)
    password = password if password is not None else _ask(context, "Password: ", secret=True)
    if not user or not password:
        raise UsageError("username and password must not be empty")
    logged_in = log_in(context.find_paths(), context.env, domain, Credentials(user, password))
    if logged_in.plain:
        context.note(
            f"WARNING! Your credentials are stored unencrypted in '{logged_in.kept_in}'. "
            "Configure a credential helper (credsStore) to change that."
        )
    context.print("Login Succeeded")
    return 0


def logout(invocation: Invocation) -> int:
    """Forget the credentials; none is not an error, as in Docker."""
    from sandbox.image.transfer.login import log_out, registry_domain

    domain = registry_domain(invocation.arguments[0] if invocation.arguments else "")
    shown = "https://index.docker.io/v1/" if domain == "docker.io" else domain
    found = log_out(invocation.context.env, domain)
    invocation.context.print(f"Removing login credentials for {shown}" if found else f"Not logged in to {shown}")
    return 0


def _ask(context: Context, prompt: str, *, secret: bool) -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            "Cannot perform an interactive login from a non TTY device", mend="--username, --password-stdin"
        )
    if secret:
        from getpass import getpass

        return getpass(prompt)
    context.stderr.write(prompt)
    context.stderr.flush()
    return sys.stdin.readline().strip()


COMMANDS = (
    Command(
        "system login",
        "Log in to a registry",
        "[OPTIONS] [SERVER]",
        (
            option("-p --password", "text", "Password", "string"),
            option("--password-stdin", "flag", "Take the password from stdin"),
            option("-u --username", "text", "Username", "string"),
        ),
        login,
        most=1,
        examples=("sandbox login ghcr.io -u me --password-stdin < token",),
        further=("where credentials are kept, and private certificates: docs/configuration.md",),
    ),
    Command(
        "system logout", "Log out from a registry", "[SERVER]", (), logout, most=1, examples=("sandbox logout ghcr.io",)
    ),
)
