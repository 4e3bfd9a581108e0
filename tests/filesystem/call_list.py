"""All calls of the language, by name."""

from __future__ import annotations

from tests.filesystem import calls_on_attributes, calls_on_files, calls_on_names
from tests.filesystem.calls import Calls

CALLS = Calls({**calls_on_files.CALLS, **calls_on_names.CALLS, **calls_on_attributes.CALLS})
