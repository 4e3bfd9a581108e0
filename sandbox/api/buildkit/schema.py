"""The messages of BuildKit's protocol that are spoken here, as far as they are; numbers are the protocol's."""

from __future__ import annotations

from sandbox.api.buildkit.protobuf import Field, Table


def _table(**fields: tuple[int, object] | tuple[int, object, str]) -> Table:
    found = {}
    for name, (number, kind, *form) in fields.items():
        found[number] = Field(name, kind, *form)  # type: ignore[arg-type]
    return Table(found)


EMPTY = Table({})
TIMESTAMP = _table(seconds=(1, "int"), nanos=(2, "int"))
STATUS = _table(
    code=(1, "int"), message=(2, "string"), details=(3, _table(type_url=(1, "string"), value=(2, "bytes")), "many")
)
PLATFORM = _table(architecture=(1, "string"), os=(2, "string"), variant=(3, "string"))

# --- control

_VERSION = _table(package=(1, "string"), version=(2, "string"), revision=(3, "string"))
WORKER = _table(
    id=(1, "string"), labels=(2, "string", "map"), platforms=(3, PLATFORM, "many"),
    version=(5, _VERSION),
)  # fmt: skip
LIST_WORKERS_RESPONSE = _table(record=(1, WORKER, "many"))
INFO_RESPONSE = _table(version=(1, _VERSION))

_TYPED = _table(type=(1, "string"), attrs=(2, "string", "map"))
DEFINITION = _table(operations=(1, "bytes", "many"))
SOLVE_REQUEST = _table(
    ref=(1, "string"), definition=(2, DEFINITION), exporter=(3, "string"), exporter_attrs=(4, "string", "map"),
    session=(5, "string"), frontend=(6, "string"), frontend_attrs=(7, "string", "map"),
    cache=(8, _table(
        export_ref=(1, "string"), import_refs=(2, "string", "many"), exports=(4, _TYPED, "many"),
        imports=(5, _TYPED, "many"),
    )),
    entitlements=(9, "string", "many"), frontend_inputs=(10, DEFINITION, "map"), internal=(11, "bool"),
    exporters=(13, _TYPED, "many"),
)  # fmt: skip
SOLVE_RESPONSE = _table(exporter_response=(1, "string", "map"))

STATUS_REQUEST = _table(ref=(1, "string"))
_VERTEX = _table(
    digest=(1, "string"), inputs=(2, "string", "many"), name=(3, "string"), cached=(4, "bool"),
    started=(5, TIMESTAMP), completed=(6, TIMESTAMP), error=(7, "string"),
)  # fmt: skip
_RANGE = _table(
    start=(1, _table(line=(1, "int"), character=(2, "int"))), end=(2, _table(line=(1, "int"), character=(2, "int")))
)
SOURCE_INFO = _table(filename=(1, "string"), data=(2, "bytes"), language=(4, "string"))
STATUS_RESPONSE = _table(
    vertexes=(1, _VERTEX, "many"),
    statuses=(2, _table(
        id=(1, "string"), vertex=(2, "string"), name=(3, "string"), current=(4, "int"), total=(5, "int"),
        timestamp=(6, TIMESTAMP), started=(7, TIMESTAMP), completed=(8, TIMESTAMP),
    ), "many"),
    logs=(3, _table(vertex=(1, "string"), timestamp=(2, TIMESTAMP), stream=(3, "int"), msg=(4, "bytes")), "many"),
    warnings=(4, _table(
        vertex=(1, "string"), level=(2, "int"), short=(3, "bytes"), detail=(4, "bytes", "many"), url=(5, "string"),
        info=(6, SOURCE_INFO), ranges=(7, _RANGE, "many"),
    ), "many"),
)  # fmt: skip

USAGE_RECORD = _table(
    id=(1, "string"), mutable=(2, "bool"), in_use=(3, "bool"), size=(4, "int"), parent=(5, "string"),
    created_at=(6, TIMESTAMP), last_used_at=(7, TIMESTAMP), usage_count=(8, "int"), description=(9, "string"),
    record_type=(10, "string"), shared=(11, "bool"), parents=(12, "string", "many"),
)  # fmt: skip
DISK_USAGE_REQUEST = _table(filter=(1, "string", "many"))
DISK_USAGE_RESPONSE = _table(record=(1, USAGE_RECORD, "many"))
PRUNE_REQUEST = _table(
    filter=(1, "string", "many"), all=(2, "bool"), keep_duration=(3, "int"), reserved_space=(4, "int"),
    max_used_space=(5, "int"), min_free_space=(6, "int"),
)  # fmt: skip

HISTORY_REQUEST = _table(active_only=(1, "bool"), ref=(2, "string"), early_exit=(3, "bool"))
HISTORY_EVENT = _table(
    type=(1, "int"),
    record=(2, _table(
        ref=(1, "string"), frontend=(2, "string"), frontend_attrs=(3, "string", "map"), exporters=(4, _TYPED, "many"),
        error=(5, STATUS), created_at=(6, TIMESTAMP), completed_at=(7, TIMESTAMP),
        exporter_response=(9, "string", "map"), generation=(12, "int"), pinned=(14, "bool"),
        cached_steps=(15, "int"), total_steps=(16, "int"), completed_steps=(17, "int"), warnings=(19, "int"),
    )),
)  # fmt: skip
HISTORY_UPDATE = _table(ref=(1, "string"), pinned=(2, "bool"), delete=(3, "bool"), finalize=(4, "bool"))

# --- the bridge to frontends

_CAPABILITY = _table(id=(1, "string"), enabled=(2, "bool"))
PONG = _table(frontend_caps=(1, _CAPABILITY, "many"), llb_caps=(2, _CAPABILITY, "many"), workers=(3, WORKER, "many"))
_REF = _table(id=(1, "string"))
RESULT = _table(
    ref_deprecated=(1, "string"), ref=(3, _REF), refs=(4, _table(refs=(1, _REF, "map"))), metadata=(10, "bytes", "map")
)
BRIDGE_SOLVE_REQUEST = _table(
    definition=(1, DEFINITION), frontend=(2, "string"), frontend_opt=(3, "string", "map"),
    allow_result_return=(5, "bool"), allow_result_array_ref=(6, "bool"), final=(10, "bool"),
    cache_imports=(12, _TYPED, "many"), frontend_inputs=(13, DEFINITION, "map"), evaluate=(14, "bool"),
)  # fmt: skip
BRIDGE_SOLVE_RESPONSE = _table(ref=(1, "string"), result=(3, RESULT))
RETURN_REQUEST = _table(result=(1, RESULT), error=(2, STATUS))

# --- a client's session

BYTES_MESSAGE = _table(data=(1, "bytes"))
STAT = _table(
    path=(1, "bytes"), mode=(2, "int"), uid=(3, "int"), gid=(4, "int"), size=(5, "int"), mod_time=(6, "int"),
    linkname=(7, "bytes"), devmajor=(8, "int"), devminor=(9, "int"), xattrs=(10, "bytes", "map"),
)  # fmt: skip
PACKET = _table(type=(1, "int"), stat=(2, STAT), id=(3, "int"), data=(4, "bytes"))
CREDENTIALS = (_table(host=(1, "string")), _table(username=(1, "string"), secret=(2, "string")))
GET_SECRET = (_table(id=(1, "string")), _table(data=(1, "bytes")))
CHECK_AGENT = (_table(id=(1, "string")), EMPTY)

#: of the errors' details: what a client shows the lines of the file from
ERROR_SOURCE = "github.com/moby/buildkit/errdefs.Source+json"
