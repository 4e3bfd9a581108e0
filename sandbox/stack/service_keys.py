"""Every key of a service, how it is read, and what becomes of it in a container here."""

from __future__ import annotations

from sandbox.stack import model
from sandbox.stack.build_keys import BUILD
from sandbox.stack.deploy_keys import DEPLOY, DEVICE_REQUEST
from sandbox.stack.part_keys import GRANT, ULIMITS
from sandbox.stack.reading import Reading, is_resource_name, text
from sandbox.stack.scalar_readers import (
    OneOf,
    Within,
    boolean,
    caller_pairs,
    decimal,
    duration,
    given_scalar,
    host_path,
    integer,
    labels,
    plain_mode,
    scalar_text,
    size,
    text_or_integer,
    text_or_null,
    text_or_number,
    whole_size,
)
from sandbox.stack.shapes import Forms, Key, ListOf, MapOf, Object, Shape
from sandbox.stack.short_forms import (
    all_gpus,
    command,
    container_name,
    health_test,
    hosts,
    port_number,
    pull_policy,
    short_device,
    short_env_file,
    short_grant,
    short_ports,
    short_volume,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.nodes import Node

_WARNED, _REFUSED = "warned", "refused"


def _nothing() -> None:
    """What a name in a list says of the thing it names."""


def _single(reading: Reading, node: Node, path: str) -> tuple[str, ...]:
    """A text, a number or a boolean, as a list of one."""
    return (given_scalar(reading, node, path),)


_TEXTS = ListOf(text, "a list of texts", is_unique=True)
_SET = ListOf(text, "a list of texts", is_set=True)
_TEXT_OR_TEXTS = ListOf(text, "a text or a list of texts", may_be_text=True, is_set=True)
_ROOT = "only root may set it"
_WINDOWS = "of containers of Windows"

_BLKIO_LIMIT = ListOf(
    Object(Shape("a limit of a device", model.ThrottleDevice, {"path": Key(text), "rate": Key(size)},
                 has_extensions=False))
)  # fmt: skip
_BLKIO_WEIGHT = ListOf(
    Object(Shape("a weight of a device", model.WeightDevice, {"path": Key(text), "weight": Key(integer)},
                 has_extensions=False))
)  # fmt: skip
BLKIO = Shape(
    "blkio_config",
    model.BlkioConfig,
    {
        "weight": Key(integer),
        "weight_device": Key(_BLKIO_WEIGHT),
        **{f"device_{way}_{unit}": Key(_BLKIO_LIMIT) for way in ("read", "write") for unit in ("bps", "iops")},
    },
    has_extensions=False,
)
CREDENTIALS = Shape("credential_spec", model.CredentialSpec, {key: Key(text) for key in ("config", "file", "registry")})
DEPENDENCY = Shape(
    "a dependency",
    model.Dependency,
    {
        "condition": Key(OneOf(("service_started", "service_healthy", "service_completed_successfully"))),
        "restart": Key(boolean),
        "required": Key(boolean),
    },
    required=("condition",),
)
DEVICE = Shape(
    "a device",
    model.DeviceMapping,
    {"source": Key(text), "target": Key(text), "permissions": Key(text)},
    required=("source",),
)
PROVIDER = Shape(
    "a provider",
    model.Provider,
    {"type": Key(text), "options": Key(MapOf(Forms(_single, ListOf(given_scalar))))},
    required=("type",),
)
ENV_FILE = Shape(
    "an env file",
    model.EnvFile,
    {"path": Key(host_path), "required": Key(boolean), "format": Key(text)},
    required=("path",),
    has_extensions=False,
)
HEALTH = Shape(
    "a health check",
    model.HealthCheckConfig,
    {
        "test": Key(health_test),
        **{key: Key(duration) for key in ("timeout", "interval", "start_period", "start_interval")},
        "retries": Key(Within(0)),
        "disable": Key(boolean),
    },
)
LOGGING = Shape("logging", model.Logging, {"driver": Key(text), "options": Key(MapOf(scalar_text))})
SERVICE_MODEL = Shape("a model", model.ServiceModel, {"endpoint_var": Key(text), "model_var": Key(text)})
SERVICE_NETWORK = Shape(
    "a network of a service",
    model.ServiceNetwork,
    {
        "aliases": Key(_SET),
        "driver_opts": Key(MapOf(text_or_number)),
        "gw_priority": Key(integer),
        "interface_name": Key(text),
        "ipv4_address": Key(text),
        "ipv6_address": Key(text),
        "link_local_ips": Key(_SET),
        "mac_address": Key(text),
        "priority": Key(integer),
    },
)
PORT = Shape(
    "a port",
    model.Port,
    {
        "name": Key(text),
        "mode": Key(text),
        "host_ip": Key(text),
        "target": Key(port_number),
        "published": Key(text_or_integer),
        "protocol": Key(text),
        "app_protocol": Key(text),
    },
)
VOLUME = Shape(
    "a mount",
    model.Volume,
    {
        "type": Key(OneOf(("bind", "volume", "tmpfs", "cluster", "npipe", "image"))),
        "source": Key(text),
        "target": Key(text),
        "read_only": Key(boolean),
        "consistency": Key(text, _WARNED, "of Docker on macOS"),
        "bind": Key(
            Object(
                Shape(
                    "the 'bind' of a mount",
                    model.VolumeBind,
                    {
                        "propagation": Key(text),
                        "create_host_path": Key(boolean),
                        "recursive": Key(OneOf(("enabled", "disabled", "writable", "readonly"))),
                        "selinux": Key(OneOf(("z", "Z")), _WARNED, "nothing is relabelled"),
                    },
                )
            )
        ),
        "volume": Key(
            Object(
                Shape(
                    "the 'volume' of a mount",
                    model.VolumeVolume,
                    {"labels": Key(labels), "nocopy": Key(boolean), "subpath": Key(text)},
                )
            )
        ),
        "tmpfs": Key(
            Object(
                Shape("the 'tmpfs' of a mount", model.VolumeTmpfs, {"size": Key(whole_size), "mode": Key(plain_mode)})
            )
        ),
        "image": Key(
            Object(Shape("the 'image' of a mount", model.VolumeImage, {"subpath": Key(text)})),
            _REFUSED,
            "images are not mounted yet",
        ),
    },
    required=("type",),
)
HOOK = Shape(
    "a hook",
    model.Hook,
    {
        "command": Key(command),
        "user": Key(text),
        "privileged": Key(boolean),
        "working_dir": Key(text),
        "environment": Key(caller_pairs),
    },
    required=("command",),
)
PRE_START = Shape("a hook before the start", model.Hook, {**HOOK.keys, "image": Key(text), "per_replica": Key(boolean)})
TRIGGER = Shape(
    "a watch",
    model.Trigger,
    {
        "path": Key(host_path),
        "action": Key(OneOf(("rebuild", "sync", "restart", "sync+restart", "sync+exec"))),
        "target": Key(text),
        "exec": Key(Object(HOOK)),
        "include": Key(_TEXT_OR_TEXTS),
        "ignore": Key(_TEXT_OR_TEXTS),
        "initial_sync": Key(boolean),
    },
    required=("path", "action"),
)
DEVELOP = Shape("develop", model.Develop, {"watch": Key(ListOf(Object(TRIGGER)))})

SERVICE = Shape(
    "a service",
    model.Service,
    {
        "annotations": Key(labels),
        "attach": Key(boolean),
        "blkio_config": Key(Object(BLKIO), _WARNED, "the io controller is not delegated to users"),
        "build": Key(BUILD),
        "cap_add": Key(_SET),
        "cap_drop": Key(_SET),
        "cgroup": Key(OneOf(("host", "private")), _WARNED, "each container has a cgroup namespace of its own"),
        "cgroup_parent": Key(text, _WARNED, "containers stand below the user's own cgroup"),
        "command": Key(command),
        "configs": Key(ListOf(Forms(short_grant, Object(GRANT)))),
        "container_name": Key(container_name),
        "cpu_count": Key(Within(0), _WARNED, _WINDOWS),
        "cpu_percent": Key(decimal, _WARNED, _WINDOWS),
        "cpu_period": Key(integer),
        "cpu_quota": Key(integer),
        "cpu_rt_period": Key(integer, _WARNED, _ROOT),
        "cpu_rt_runtime": Key(integer, _WARNED, _ROOT),
        "cpu_shares": Key(integer),
        "cpus": Key(decimal),
        "cpuset": Key(text),
        "credential_spec": Key(Object(CREDENTIALS), _REFUSED, _WINDOWS),
        "depends_on": Key(
            MapOf(Object(DEPENDENCY), "a list of services, or a mapping of them", of_name=model.Dependency)
        ),
        "deploy": Key(Object(DEPLOY, may_be_null=True, null_is_none=True)),
        "develop": Key(Object(DEVELOP, may_be_null=True, null_is_none=True)),
        "device_cgroup_rules": Key(_TEXTS, _WARNED, "the user's own rights decide on devices"),
        "devices": Key(ListOf(Forms(short_device, Object(DEVICE)))),
        "dns": Key(ListOf(text, "a text or a list of texts", may_be_text=True, is_set=True, skips_empty=True)),
        "dns_opt": Key(_SET),
        "dns_search": Key(_TEXT_OR_TEXTS),
        "domainname": Key(text),
        "entrypoint": Key(command),
        "env_file": Key(
            Forms(ListOf(short_env_file, may_be_text=True), ListOf(Forms(short_env_file, Object(ENV_FILE))))
        ),
        "environment": Key(caller_pairs),
        "expose": Key(ListOf(text_or_number, is_set=True)),
        "external_links": Key(_TEXTS, _WARNED, "links of old; a network that both are in does the same"),
        "extra_hosts": Key(hosts),
        "gpus": Key(Forms(all_gpus, ListOf(Object(DEVICE_REQUEST))), _REFUSED, "devices of drivers are not built yet"),
        "group_add": Key(ListOf(text_or_number, is_unique=True)),
        "healthcheck": Key(Object(HEALTH)),
        "hostname": Key(text),
        "image": Key(text),
        "init": Key(boolean),
        "ipc": Key(text),
        "isolation": Key(text, _WARNED, _WINDOWS),
        "label_file": Key(ListOf(host_path, "a path or a list of paths", may_be_text=True)),
        "labels": Key(labels),
        "links": Key(_SET),
        "logging": Key(Object(LOGGING)),
        "mac_address": Key(text),
        "mem_limit": Key(size),
        "mem_reservation": Key(size),
        "mem_swappiness": Key(size, _WARNED, "the second version of cgroups has no such setting"),
        "memswap_limit": Key(size),
        "models": Key(
            MapOf(Object(SERVICE_MODEL, may_be_null=True, null_is_none=True), of_name=_nothing),
            _REFUSED,
            "there is no runner of models here",
        ),
        "network_mode": Key(text),
        "networks": Key(
            MapOf(
                Object(SERVICE_NETWORK, may_be_null=True, null_is_none=True),
                "a list of networks, or a mapping of them",
                of_name=_nothing,
            )
        ),
        "oom_kill_disable": Key(boolean, _WARNED, "the second version of cgroups has no such setting"),
        "oom_score_adj": Key(Within(-1000, 1000)),
        "pid": Key(text_or_null),
        "pids_limit": Key(integer),
        "platform": Key(text),
        "ports": Key(ListOf(Forms(short_ports, Object(PORT)), "a list of ports", is_flat=True)),
        "post_start": Key(ListOf(Object(HOOK))),
        "pre_start": Key(ListOf(Object(PRE_START))),
        "pre_stop": Key(ListOf(Object(HOOK))),
        "privileged": Key(boolean),
        "profiles": Key(_SET),
        "provider": Key(Object(PROVIDER), _REFUSED, "programs that stand for services are not called"),
        "pull_policy": Key(pull_policy),
        "pull_refresh_after": Key(text, _WARNED, "write pull_policy: every_12h, which is done"),
        "read_only": Key(boolean),
        "restart": Key(text),
        "runtime": Key(text, _WARNED, "there is one runtime"),
        "scale": Key(integer),
        "secrets": Key(ListOf(Forms(short_grant, Object(GRANT)))),
        "security_opt": Key(_TEXTS),
        "shm_size": Key(size),
        "stdin_open": Key(boolean),
        "stop_grace_period": Key(duration),
        "stop_signal": Key(text),
        "storage_opt": Key(MapOf(scalar_text)),
        "sysctls": Key(labels),
        "tmpfs": Key(_TEXT_OR_TEXTS),
        "tty": Key(boolean),
        "ulimits": Key(ULIMITS),
        "use_api_socket": Key(boolean),
        "user": Key(text),
        "userns_mode": Key(text, _WARNED, "each container has a user namespace of its own"),
        "uts": Key(text),
        "volumes": Key(ListOf(Forms(short_volume, Object(VOLUME)), "a list of mounts")),
        "volumes_from": Key(_TEXTS),
        "working_dir": Key(text),
    },
    done_before=("extends",),
)
SERVICES = MapOf(Object(SERVICE), "a mapping of services by their names", is_name=is_resource_name)
