"""Every key of `deploy`, and of the devices that it and `gpus` ask for."""

from __future__ import annotations

from sandbox.stack import deploy_model
from sandbox.stack.parts_model import DeviceRequest
from sandbox.stack.reading import text
from sandbox.stack.scalar_readers import OneOf, Within, decimal, duration, integer, labels, size
from sandbox.stack.shapes import Key, ListOf, Object, Shape
from sandbox.stack.short_forms import device_count

_WARNED = "warned"
_TEXTS = ListOf(text, "a list of texts")
_SET = ListOf(text, "a list of texts", is_unique=True)
_ONE_MACHINE = "there is this machine alone"
DEVICE_REQUEST = Shape(
    "a request for devices",
    DeviceRequest,
    {
        "capabilities": Key(_SET),
        "count": Key(device_count),
        "device_ids": Key(_SET),
        "driver": Key(text),
        "options": Key(labels),
    },
)
_RESERVED = DEVICE_REQUEST._replace(required=("capabilities",))
_UPDATE = {
    "parallelism": Key(Within(0)),
    "delay": Key(duration),
    "failure_action": Key(text),
    "monitor": Key(duration),
    "max_failure_ratio": Key(decimal),
    "order": Key(OneOf(("start-first", "stop-first"))),
}
_GENERIC = Shape(
    "a generic resource",
    deploy_model.GenericResource,
    {
        "discrete_resource_spec": Key(
            Object(
                Shape(
                    "discrete_resource_spec",
                    deploy_model.DiscreteResource,
                    {"kind": Key(text), "value": Key(integer)},
                )
            )
        )
    },
)
_LIMITS = Shape(
    "limits",
    deploy_model.Resource,
    {"cpus": Key(decimal), "memory": Key(size), "pids": Key(integer)},
)
_RESERVATIONS = Shape(
    "reservations",
    deploy_model.Resource,
    {
        "cpus": Key(decimal, _WARNED, "nothing is scheduled: there is this machine alone"),
        "memory": Key(size),
        "devices": Key(ListOf(Object(_RESERVED)), "refused", "devices of drivers are not built yet"),
        "generic_resources": Key(ListOf(Object(_GENERIC)), _WARNED, _ONE_MACHINE),
    },
)
DEPLOY = Shape(
    "deploy",
    deploy_model.Deploy,
    {
        "endpoint_mode": Key(text),
        "labels": Key(labels),
        "mode": Key(text),
        "placement": Key(
            Object(
                Shape(
                    "placement",
                    deploy_model.Placement,
                    {
                        "constraints": Key(_TEXTS),
                        "preferences": Key(
                            ListOf(Object(Shape("a preference", deploy_model.Preference, {"spread": Key(text)})))
                        ),
                        "max_replicas_per_node": Key(Within(0)),
                    },
                )
            ),
            _WARNED,
            _ONE_MACHINE,
        ),
        "replicas": Key(integer),
        "resources": Key(
            Object(
                Shape(
                    "resources",
                    deploy_model.Resources,
                    {"limits": Key(Object(_LIMITS)), "reservations": Key(Object(_RESERVATIONS))},
                )
            )
        ),
        "restart_policy": Key(
            Object(
                Shape(
                    "restart_policy",
                    deploy_model.DeployRestart,
                    {
                        "condition": Key(text),
                        "delay": Key(duration),
                        "max_attempts": Key(Within(0)),
                        "window": Key(duration),
                    },
                )
            )
        ),
        "rollback_config": Key(Object(Shape("rollback_config", deploy_model.UpdateConfig, _UPDATE))),
        "update_config": Key(Object(Shape("update_config", deploy_model.UpdateConfig, _UPDATE))),
    },
)
