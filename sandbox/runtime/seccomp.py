"""Seccomp filters: which one a container gets, compiled by libseccomp and kept in the cache.

A filter depends on the profile, the capabilities, the kernel and the library; all of them are in the name of the
cached file, so that it is found without loading any. libseccomp is bound here, and only when something is compiled.
"""

from __future__ import annotations

import os
import stat
import struct

from sandbox.errors import HostError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.capabilities import capability_mask
from sandbox.runtime.seccomp_profile import Host, parse_compact, parse_docker, this_host
from storage.private_directories import make_private_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes

    from sandbox.runtime.seccomp_profile import Profile, Rule

DEFAULT_PROFILE = os.path.join(os.path.dirname(__file__), "seccomp_default.json")

_LIBRARY = "libseccomp.so.2"
_LIBRARY_DIRECTORIES = ("/usr/lib/{}-linux-gnu", "/lib/{}-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
#: part of the name of a cached filter: to be raised when the same profile compiles to something else
_FORMAT = 1
_PROFILE_LIMIT_BYTES = 4 << 20
_INSTRUCTIONS_LIMIT = 4096  # BPF_MAXINSNS
_ENOSYS = 38

# linux/audit.h
_ARCHITECTURES = {
    "x86_64": 0xC000003E,
    "x86": 0x40000003,
    "x32": 0x4000003E,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
    "riscv64": 0xC00000F3,
    "s390x": 0x80000016,
    "s390": 0x00000016,
    "loongarch64": 0xC0000102,
}
_X32_BIT = 0x40000000
_OPTIMIZE_ATTRIBUTE, _BINARY_TREE = 8, 2
_ARCH_EXISTS = -17
_SAME_AS_DEFAULT = -13

# linux/filter.h
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06


def find_program(choice: str, capabilities: tuple[str, ...], cache_directory: str) -> bytes | None:
    """The filter for `--security-opt seccomp=CHOICE`: "" is the default, "unconfined" none, else a profile's path.

    Compiled at most once for each combination; raises UsageError for a bad file, HostError without libseccomp.
    """
    if choice == "unconfined":
        return None
    if choice in ("", "default", "builtin"):
        return _cached_or_compiled(None, _default_key(), capabilities, cache_directory)
    document = _read_profile(choice)
    import hashlib  # 5 ms, for a profile of the person's own only

    return _cached_or_compiled(choice, hashlib.sha256(document).hexdigest(), capabilities, cache_directory)


def compile_profile(profile: Profile) -> bytes:
    """The BPF program of `profile`: an array of struct sock_filter. Raises HostError without libseccomp.

    Raises UsageError for one that is too long for the kernel.
    """
    library = _Library()
    context = library.make_context(profile)
    try:
        last_numbers = [0] * len(profile.architectures)
        for rule in profile.rules:
            library.add_rule(context, profile, rule)
            for index, architecture in enumerate(profile.architectures):
                numbers = (library.number(architecture, name) for name in rule.names)
                last_numbers[index] = max(last_numbers[index], *numbers)
        program = library.export(context)
    finally:
        library.release(context)
    unknown = _unknown_calls(dict(zip(profile.architectures, last_numbers, strict=True)))
    if len(program) + len(unknown) > _INSTRUCTIONS_LIMIT * 8:
        raise UsageError("the seccomp profile is too long for the kernel", cause=f"{len(program) // 8} instructions")
    return unknown + program


def _unknown_calls(last_numbers: dict[str, int]) -> bytes:
    """Instructions that answer ENOSYS to calls newer than all that the profile and the library know.

    EPERM would make a C library give up that on ENOSYS tries the older call; runc puts the same before its filters.
    """
    instructions = [struct.pack("=HBBI", _LOAD, 0, 0, 4)]  # seccomp_data.arch
    for architecture, last in last_numbers.items():
        if architecture == "x32":
            continue  # shares the number of x86_64 in seccomp_data.arch
        # x32 calls have bit 30 set: they are left to the filter
        instructions += [
            struct.pack("=HBBI", _JUMP_EQUAL, 0, 5, _ARCHITECTURES[architecture]),
            struct.pack("=HBBI", _LOAD, 0, 0, 0),  # seccomp_data.nr
            struct.pack("=HBBI", _JUMP_GREATER_EQUAL, 2, 0, _X32_BIT),
            struct.pack("=HBBI", _JUMP_GREATER, 0, 1, last),
            struct.pack("=HBBI", _RETURN, 0, 0, 0x00050000 | _ENOSYS),
            struct.pack("=HBBI", _LOAD, 0, 0, 4),
        ]
    return b"".join(instructions)


class _Context(NamedTuple):
    pointer: int


class _Library:
    """libseccomp, loaded."""

    def __init__(self) -> None:
        import ctypes  # the compile is rare, and done once

        try:
            self._library: ctypes.CDLL = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            from net.programs import install_command  # for this error only

            raise HostError(
                "libseccomp is missing: it compiles the container's system call filter",
                cause=str(error),
                mend=f"{install_command('libseccomp2')}   (or run with --security-opt seccomp=unconfined)",
            ) from error
        self._ctypes = ctypes
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._library.seccomp_release.argtypes = (ctypes.c_void_p,)
        self._library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
        self._library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        self._library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
        self._library.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
        self._library.seccomp_rule_add_array.argtypes = (
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_void_p,
        )

    def make_context(self, profile: Profile) -> _Context:
        pointer = self._library.seccomp_init(self._ctypes.c_uint32(profile.default_action))
        if not pointer:
            raise UsageError(f"libseccomp refuses the default action {profile.default_action:#x}")
        # a filter runs at every call: a tree takes nine comparisons where a list takes three hundred
        self._library.seccomp_attr_set(pointer, _OPTIMIZE_ATTRIBUTE, _BINARY_TREE)
        for architecture in profile.architectures:
            if architecture not in _ARCHITECTURES:
                continue
            code = self._library.seccomp_arch_add(pointer, _ARCHITECTURES[architecture])
            if code not in (0, _ARCH_EXISTS):
                raise UsageError(f"libseccomp refuses the architecture {architecture}", cause=os.strerror(-code))
        return _Context(pointer)

    def add_rule(self, context: _Context, profile: Profile, rule: Rule) -> None:
        if rule.action == profile.default_action:
            return  # libseccomp refuses what changes nothing
        comparisons = b"".join(struct.pack("=IIQQ", *comparison) for comparison in rule.comparisons)
        for name in rule.names:
            # numbers of the native architecture or negative stand-ins, which libseccomp translates for the others
            number = self._library.seccomp_syscall_resolve_name_arch(
                _ARCHITECTURES[profile.architectures[0]], name.encode()
            )
            if number == -1:
                continue  # newer than the library
            code = self._library.seccomp_rule_add_array(
                context.pointer, rule.action, number, len(rule.comparisons), comparisons
            )
            if code not in (0, _SAME_AS_DEFAULT):
                raise UsageError(f"libseccomp refuses the rule for {name}", cause=os.strerror(-code))

    def number(self, architecture: str, name: str) -> int:
        if architecture not in _ARCHITECTURES:
            return 0
        return int(self._library.seccomp_syscall_resolve_name_arch(_ARCHITECTURES[architecture], name.encode()))

    def export(self, context: _Context) -> bytes:
        fd = os.memfd_create("seccomp")
        try:
            code = self._library.seccomp_export_bpf(context.pointer, fd)
            if code:
                raise HostError("libseccomp cannot compile the filter", cause=os.strerror(-code))
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)

    def release(self, context: _Context) -> None:
        self._library.seccomp_release(context.pointer)


def _cached_or_compiled(
    profile_path: str | None, key: str, capabilities: tuple[str, ...], cache_directory: str
) -> bytes:
    host = this_host(capabilities)
    kernel = f"{host.kernel[0]}.{host.kernel[1]}"
    name = f"seccomp-{_FORMAT}-{host.machine}-{kernel}-{_library_version()}-{capability_mask(capabilities):x}-{key}"
    path = f"{cache_directory}/{name}"
    cached = _read_cached(path)
    if cached is not None:
        return cached
    program = compile_profile(_load_profile(profile_path, host))
    _write_cached(path, program)
    return program


def _load_profile(path: str | None, host: Host) -> Profile:
    import json  # compiling only

    if path is None:
        with open(DEFAULT_PROFILE, encoding="utf-8") as file:
            return parse_compact(json.load(file), host)
    try:
        document = json.loads(_read_profile(path))
    except ValueError as error:
        raise UsageError(f"the seccomp profile {path} is not JSON", cause=str(error)) from error
    return parse_docker(document, host, path)


def _read_profile(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            document = file.read(_PROFILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the seccomp profile {path}", cause=error.strerror or "") from error
    if len(document) > _PROFILE_LIMIT_BYTES:
        raise UsageError(f"the seccomp profile {path} is longer than {_PROFILE_LIMIT_BYTES >> 20} MiB")
    return document


def _default_key() -> str:
    status = os.stat(DEFAULT_PROFILE)
    return f"default-{status.st_size}-{status.st_mtime_ns}"


def _library_version() -> str:
    machine = os.uname().machine
    for directory in _LIBRARY_DIRECTORIES:
        try:
            # libseccomp.so.2 is a link to libseccomp.so.2.5.4
            return os.readlink(f"{directory.format(machine)}/{_LIBRARY}").removeprefix("libseccomp.so.")
        except OSError:
            continue
    return "unknown"


def _read_cached(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        trusted = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
        program = file.read(_INSTRUCTIONS_LIMIT * 8 + 1)
    # what others could have written, or a file that a crash left short, is compiled anew
    return program if trusted and program and len(program) % 8 == 0 else None


def _write_cached(path: str, program: bytes) -> None:
    aside = f"{path}.{os.getpid()}"
    try:
        make_private_directory(os.path.dirname(path))
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(program)
            file.flush()
            os.fsync(fd)
        os.rename(aside, path)
    except OSError:
        return  # the cache is a convenience: a full disk is found out by what needs the space
