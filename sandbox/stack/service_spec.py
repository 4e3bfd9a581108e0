"""From a service of a file to the service of a stack: Docker's names and labels, and what `deploy` asks for.

What Docker's own stacks leave out is honoured where one machine can; `stack_differences.py` says which keys these are.
"""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.restart import parse_restart
from sandbox.service.spec import RestartRule, ServiceMode, ServiceSpec, UpdateConfig
from sandbox.stack.asked_service import AskedService, scoped
from sandbox.stack.deploy_model import Deploy
from sandbox.stack.replica_request import NAMESPACE, replica_request
from sandbox.stack.service_ports import service_ports_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.service.spec import ModeKind
    from sandbox.stack.deploy_model import UpdateConfig as DeployUpdate
    from sandbox.stack.project import Project

#: the label of a service with its image as the file names it
IMAGE = "com.docker.stack.image"
_MODES: dict[str, ModeKind] = {
    "replicated": "replicated", "global": "global", "replicated-job": "replicated-job", "global-job": "global-job",
}  # fmt: skip
_ENDPOINT_MODES = ("vip", "dnsrr")
_FAILURE_ACTIONS = ("pause", "continue", "rollback")
_CONDITIONS = ("any", "on-failure", "none")


def service_spec_of(name: str, project: Project) -> ServiceSpec:
    """The service `name` of a stack, whose name is the project's. Grants name their objects: the ids are known where
    these are. Raises ComposeFileError.
    """
    service = project.services.value(name)
    assert service is not None
    asked = AskedService(name, project, service)
    deploy = service.deploy or Deploy()
    request = replica_request(asked)
    labels = {**dict(deploy.labels), NAMESPACE: project.name, IMAGE: request.image}
    return ServiceSpec(
        scoped(project, name),
        request,
        tuple(sorted(labels.items())),
        _mode(asked, deploy),
        asked.one_of("deploy.endpoint_mode", deploy.endpoint_mode.lower(), _ENDPOINT_MODES),
        service_ports_of(asked),
        _update(asked, "update_config", deploy.update_config, _FAILURE_ACTIONS),
        _update(asked, "rollback_config", deploy.rollback_config, _FAILURE_ACTIONS[:2]),
        _restart(asked, deploy),
        constraints=tuple(deploy.placement.constraints),
        preferences=tuple(each.spread for each in deploy.placement.preferences if each.spread),
        max_replicas_per_node=deploy.placement.max_replicas_per_node,
        after=tuple(scoped(project, other) for other, _ in service.depends_on if other in project.services.names),
    )


def _mode(asked: AskedService, deploy: Deploy) -> ServiceMode:
    kind = _MODES[asked.one_of("deploy.mode", deploy.mode, tuple(_MODES))]
    if kind.startswith("global"):
        if deploy.replicas is not None:
            raise asked.error("deploy.replicas", "replicas can only be used with replicated or replicated-job mode")
        return ServiceMode(kind)
    return ServiceMode(kind, asked.service.replicas)


def _update(asked: AskedService, key: str, given: DeployUpdate | None, actions: tuple[str, ...]) -> UpdateConfig | None:
    if given is None:
        return None
    defaults = UpdateConfig()
    return UpdateConfig(
        defaults.parallelism if given.parallelism is None else given.parallelism,
        int(given.delay),
        asked.one_of(f"deploy.{key}.failure_action", given.failure_action, actions),
        int(given.monitor) or defaults.monitor_ns,
        given.max_failure_ratio,
        given.order or defaults.order,
    )


def _restart(asked: AskedService, deploy: Deploy) -> RestartRule | None:
    """`deploy.restart_policy`, or else what `restart` comes to. "no" says nothing there, as with Docker: a replica that
    ends is replaced, unless `deploy.restart_policy` has the condition none.
    """
    policy, defaults = deploy.restart_policy, RestartRule()
    if policy is not None:
        return RestartRule(
            asked.one_of("deploy.restart_policy.condition", policy.condition, _CONDITIONS),
            defaults.delay_ns if policy.delay is None else int(policy.delay),
            policy.max_attempts or 0,
            None if policy.window is None else int(policy.window),
        )
    if not asked.service.restart:
        return None
    try:
        given = parse_restart(asked.service.restart)
    except UsageError as error:
        raise asked.error("restart", error.message) from error
    if given.name == "no":
        return None
    if given.name == "on-failure":
        return RestartRule("on-failure", max_attempts=given.maximum_retries)
    return RestartRule("any")
