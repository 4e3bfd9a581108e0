"""`NamedTuple` as `typing` has it, for classes that every command makes anew on its way.

typing.NamedTuple compiles each annotation and a constructor for each class: a third of a millisecond a class, and
`run` has seventy. This one compiles nothing; its instances are made somewhat slower, which pays for thousands of
classes' worth of calls and not for millions: what is made for each file of an image keeps to typing's.

Annotations must be texts (`from __future__ import annotations`). To mypy it is typing's own.
"""

from __future__ import annotations

from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class _NamedTupleMeta(type):
        def __new__(cls, name, bases, namespace):
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            for index, field in enumerate(fields):
                namespace[field] = property(itemgetter(index))
            namespace |= {"__slots__": (), "__match_args__": fields, "_fields": fields, "_field_defaults": defaults}
            return super().__new__(cls, name, bases, namespace)

    class NamedTuple(tuple, metaclass=_NamedTupleMeta):
        def __new__(cls, *values, **named):
            if named or len(values) != len(cls._fields):
                values = _complete(cls, values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _make(cls, iterable):
            return cls(*iterable)

        def _replace(self, **named):
            values = tuple([named.pop(field, value) for field, value in zip(self._fields, self, strict=True)])
            if named:
                raise ValueError(f"Got unexpected field names: {list(named)}")
            return tuple.__new__(type(self), values)

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            shown = ", ".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({shown})"

    def _complete(cls, values, named):
        """`values` with those given by name and the defaults of the others behind them."""
        rest, defaults = cls._fields[len(values) :], cls._field_defaults
        missing = [field for field in rest if field not in named and field not in defaults]
        if missing:
            raise TypeError(f"{cls.__name__}() misses {', '.join(missing)}")
        unknown = [name for name in named if name not in rest]
        if unknown or len(values) > len(cls._fields):
            takes = f"{cls.__name__}() takes {', '.join(cls._fields)}, once each"
            raise TypeError(f"{takes}: not {', '.join(unknown) or f'{len(values)} values'}")
        return values + tuple([named[field] if field in named else defaults[field] for field in rest])
