"""`NamedTuple` as `typing` has it, without the import of `typing`, of which a monitor would carry half a megabyte.

An instance is made as quickly as one of typing's, for a tree has thousands of entries.
Annotations must be texts (`from __future__ import annotations`). To mypy it is typing's own.

`net` and `storage` import nothing of each other: both have this module.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class _NamedTupleMeta(type):
        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            made = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            for key, value in namespace.items():
                if key != "__module__":
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_NamedTupleMeta):
        pass
