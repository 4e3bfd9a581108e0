"""What is told of an exception that nobody expected, at a border behind which there is no traceback: in words, with the
place in our code, and never by the name of a Python class.
"""

from __future__ import annotations

import errno
import os

#: errno of a limit of the caller's -> the option of ulimit that shows and sets it
_LIMITS = {errno.EMFILE: "n", errno.EFBIG: "f", errno.EAGAIN: "u"}


def limit_reached(error: BaseException) -> tuple[str, str]:
    """Cause and mend where the kernel refused something for a limit of the caller's shell; "" and "" where not."""
    flag = _LIMITS.get(error.errno or 0, "") if isinstance(error, OSError) else ""
    return (f"a limit of this shell is reached: ulimit -{flag}", f"ulimit -S{flag} hard") if flag else ("", "")


def explain_fault(error: BaseException) -> str:
    """For the kernel's errors what it said and of which file; for a mistake of ours where it was made."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError):
        text = error.strerror or str(error) or os.strerror(error.errno or 0)
        # a call on a descriptor has its number there
        return f"{text}: {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else text
    if isinstance(error, MemoryError):
        return "out of memory"
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    file = "/".join(at.tb_frame.f_code.co_filename.split("/")[-3:]) if at else ""
    place = f" in {file}, line {at.tb_lineno}" if at else ""
    said = f": {error}" if str(error) else ""
    return f"a mistake of sandbox itself{place}{said}"
