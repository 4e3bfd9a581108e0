"""The options of `service create` and `service update`, in Docker's words."""

from __future__ import annotations

from sandbox.cli.flags import Option, option

DETACH = option("-d --detach", "flag", "Exit immediately instead of waiting for the service to converge")
QUIET = option("-q --quiet", "flag", "Suppress progress output")
_TIMES = "(ns|us|ms|s|m|h)"
_CHECK_TIMES = "(ms|s|m|h)"


def _settings(verb: str, title: str, plural: str, rest: str) -> tuple[Option, ...]:
    """Those of an update, or of a rollback."""
    actions = '"pause", "continue"' + (', "rollback"' if verb == "update" else "")
    return (
        option(f"--{verb}-delay", "text", f"Delay between {plural} {_TIMES} (default 0s)", "duration"),
        option(f"--{verb}-failure-action", "text", f'Action on {verb} failure ({actions}) (default "pause")',
               "string"),
        option(f"--{verb}-max-failure-ratio", "text", f"Failure rate to tolerate during {rest} (default 0)", "float"),
        option(f"--{verb}-monitor", "text",
               f"Duration after each task {verb} to monitor for failure {_TIMES} (default 5s)", "duration"),
        option(f"--{verb}-order", "text", f'{title} order ("start-first", "stop-first") (default "stop-first")',
               "string"),
    )  # fmt: skip


_ONES: tuple[Option, ...] = (
    option("--cap-add", "list", "Add Linux capabilities"),
    option("--cap-drop", "list", "Drop Linux capabilities"),
    option("--credential-spec", "text", "Credential spec for managed service account (Windows only)",
           "credential-spec", hidden=True),
    DETACH,
    option("--endpoint-mode", "text", 'Endpoint mode (vip or dnsrr) (default "vip")', "string"),
    option("--entrypoint", "text", "Overwrite the default ENTRYPOINT of the image", "command"),
    option("--health-cmd", "text", "Command to run to check health", "string"),
    option("--health-interval", "text", f"Time between running the check {_CHECK_TIMES}", "duration"),
    option("--health-retries", "number", "Consecutive failures needed to report unhealthy", "int"),
    option("--health-start-interval", "text",
           f"Time between running the check during the start period {_CHECK_TIMES}", "duration"),
    option("--health-start-period", "text",
           f"Start period for the container to initialize before counting retries towards unstable {_CHECK_TIMES}",
           "duration"),
    option("--health-timeout", "text", f"Maximum time to allow one check to run {_CHECK_TIMES}", "duration"),
    option("--hostname", "text", "Container hostname", "string"),
    option("--init", "flag", "Use an init inside each service container to forward signals and reap processes"),
    option("--isolation", "text", "Service container isolation mode", "string", hidden=True),
    option("--limit-cpu", "text", "Limit CPUs", "decimal"),
    option("--limit-memory", "text", "Limit Memory", "bytes"),
    option("--limit-pids", "number", "Limit maximum number of processes (default 0 = unlimited)", "int"),
    option("--log-driver", "text", "Logging driver for service", "string"),
    option("--log-opt", "list", "Logging driver options"),
    option("--max-concurrent", "number", "Number of job tasks to run concurrently (default equal to --replicas)",
           "uint"),
    option("--no-healthcheck", "flag", "Disable any container-specified HEALTHCHECK"),
    option("--no-resolve-image", "flag",
           "Do not query the registry to resolve image digest and supported platforms"),
    option("--oom-score-adj", "number", "Tune host's OOM preferences (-1000 to 1000)", "int"),
    QUIET,
    option("--read-only", "flag", "Mount the container's root filesystem as read only"),
    option("--replicas", "number", "Number of tasks", "uint"),
    option("--replicas-max-per-node", "number", "Maximum number of tasks per node (default 0 = unlimited)", "uint"),
    option("--reserve-cpu", "text", "Reserve CPUs", "decimal"),
    option("--reserve-memory", "text", "Reserve Memory", "bytes"),
    option("--restart-condition", "text",
           'Restart when condition is met ("none", "on-failure", "any") (default "any")', "string"),
    option("--restart-delay", "text", f"Delay between restart attempts {_TIMES} (default 5s)", "duration"),
    option("--restart-max-attempts", "number", "Maximum number of restarts before giving up", "uint"),
    option("--restart-window", "text", f"Window used to evaluate the restart policy {_TIMES}", "duration"),
    *_settings("rollback", "Rollback", "task rollbacks", "a rollback"),
    option("--rollback-parallelism", "number",
           "Maximum number of tasks rolled back simultaneously (0 to roll back all at once) (default 1)", "uint"),
    option("--stop-grace-period", "text",
           f"Time to wait before force killing a container {_TIMES} (default 10s)", "duration"),
    option("--stop-signal", "text", "Signal to stop the container", "string"),
    option("-t --tty", "flag", "Allocate a pseudo-TTY"),
    *_settings("update", "Update", "updates", "an update"),
    option("--update-parallelism", "number",
           "Maximum number of tasks updated simultaneously (0 to update all at once) (default 1)", "uint"),
    option("-u --user", "text", "Username or UID (format: <name|uid>[:<group|gid>])", "string"),
    option("--with-registry-auth", "flag", "Send registry authentication details to swarm agents"),
    option("-w --workdir", "text", "Working directory inside the container", "string"),
)  # fmt: skip

_LISTS: tuple[Option, ...] = (
    option("--config", "list", "Specify configurations to expose to the service", "config"),
    option("--constraint", "list", "Placement constraints"),
    option("--container-label", "list", "Container labels"),
    option("--dns", "list", "Set custom DNS servers"),
    option("--dns-option", "list", "Set DNS options"),
    option("--dns-search", "list", "Set custom DNS search domains"),
    option("-e --env", "list", "Set environment variables"),
    option("--env-file", "list", "Read in a file of environment variables"),
    option("--generic-resource", "list", "User defined resources", hidden=True),
    option("--group", "list", "Set one or more supplementary user groups for the container"),
    option("--host", "list", "Set one or more custom host-to-IP mappings (host:ip)"),
    option("-l --label", "list", "Service labels"),
    option("--mount", "list", "Attach a filesystem mount to the service", "mount"),
    option("--network", "list", "Network attachments", "network"),
    option("--placement-pref", "list", "Add a placement preference", "pref"),
    option("-p --publish", "list", "Publish a port as a node port", "port"),
    option("--secret", "list", "Specify secrets to expose to the service", "secret"),
    option("--sysctl", "list", "Sysctl options"),
    option("--ulimit", "list", "Ulimit options", "ulimit"),
)


def _both(name: str, added: str, removed: str, metavar: str = "", *, hidden: bool = False) -> tuple[Option, Option]:
    """The two options that change a list."""
    return (
        option(f"--{name}-add", "list", added, metavar, hidden=hidden),
        option(f"--{name}-rm", "list", removed, hidden=hidden),
    )


_CHANGES: tuple[Option, ...] = (
    option("--args", "text", "Service command args", "command"),
    *_both("config", "Add or update a config file on a service", "Remove a configuration file", "config"),
    *_both("constraint", "Add or update a placement constraint", "Remove a constraint"),
    *_both("container-label", "Add or update a container label", "Remove a container label by its key"),
    *_both("dns", "Add or update a custom DNS server", "Remove a custom DNS server"),
    *_both("dns-option", "Add or update a DNS option", "Remove a DNS option"),
    *_both("dns-search", "Add or update a custom DNS search domain", "Remove a DNS search domain"),
    *_both("env", "Add or update an environment variable", "Remove an environment variable"),
    option("--force", "flag", "Force update even if no changes require it"),
    *_both("generic-resource", "Add a Generic resource", "Remove a Generic resource", hidden=True),
    *_both("group", "Add an additional supplementary user group to the container",
           "Remove a previously added supplementary user group from the container"),
    *_both("host", 'Add a custom host-to-IP mapping ("host:ip")', 'Remove a custom host-to-IP mapping ("host:ip")'),
    option("--image", "text", "Service image tag", "string"),
    *_both("label", "Add or update a service label", "Remove a label by its key"),
    *_both("mount", "Add or update a mount on a service", "Remove a mount by its target path", "mount"),
    *_both("network", "Add a network", "Remove a network", "network"),
    *_both("placement-pref", "Add a placement preference", "Remove a placement preference", "pref"),
    *_both("publish", "Add or update a published port", "Remove a published port by its target port", "port"),
    option("--rollback", "flag", "Rollback to previous specification"),
    *_both("secret", "Add or update a secret on a service", "Remove a secret", "secret"),
    *_both("sysctl", "Add or update a Sysctl option", "Remove a Sysctl option"),
    *_both("ulimit", "Add or update a ulimit option", "Remove a ulimit option", "ulimit"),
)  # fmt: skip


def _sorted(*tables: tuple[Option, ...]) -> tuple[Option, ...]:
    return tuple(sorted((each for table in tables for each in table), key=lambda each: each.key))


CREATE_OPTIONS: tuple[Option, ...] = _sorted(
    _ONES,
    _LISTS,
    (
        option("--mode", "text", 'Service mode ("replicated", "global", "replicated-job", "global-job")', "string",
               "replicated"),
        option("--name", "text", "Service name", "string"),
    ),
)  # fmt: skip
UPDATE_OPTIONS: tuple[Option, ...] = _sorted(_ONES, _CHANGES)

#: an option that means another machine, or another system -> why it is refused
UNSUPPORTED: dict[str, str] = {
    "credential-spec": "it is for Windows containers",
    "generic-resource": "there is this machine alone, which hands out no resources of its own kind",
    "generic-resource-add": "there is this machine alone, which hands out no resources of its own kind",
    "generic-resource-rm": "there is this machine alone, which hands out no resources of its own kind",
}
