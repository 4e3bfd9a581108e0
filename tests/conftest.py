"""What all tests share: needs that are declared, a home for each test, and nothing left behind."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests import images, leaks, needs
from tests.command import Home, Sandbox
from tests.registry import Registry, run_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    FilledHome = Callable[[Callable[[Sandbox], object]], AbstractContextManager[Home]]

#: a directory that was named and is not there is no reason to leave anything out
_HAS_VECTORS = bool(os.environ.get("SANDBOX_VECTORS")) or not needs.missing("vectors")
_IN_CI = os.environ.get("CI", "") not in ("", "0", "false")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--storage-driver", default="", help="what `sandbox` is configured to mount roots with")


# how long an example takes says how busy the machine is; and the checkout may be read-only to the user the tests run as
# in CI the same examples each time: whoever works on something else is not the one to find a new one
hypothesis.settings.register_profile("sandbox", database=None, deadline=None, derandomize=_IN_CI)
hypothesis.settings.load_profile("sandbox")


def pytest_configure(config: pytest.Config) -> None:
    if os.getuid() == 0:
        raise pytest.UsageError("the tests run as an unprivileged user, never as root: use ./check")
    # a shell without job control starts what is in its background with these ignored, and so would every command be
    # that a test starts, and interrupts: a handler becomes the default at exec
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    # skopeo and buildah look for credentials of other tools, where a user without a session has /run/containers, which
    # root may have made for itself alone: they end where they may not look
    passwords = tempfile.NamedTemporaryFile("w", prefix="sbx-", suffix=".json")  # noqa: SIM115 (as long as the run)
    passwords.write("{}")
    passwords.flush()
    config.add_cleanup(passwords.close)
    os.environ["REGISTRY_AUTH_FILE"] = passwords.name


def pytest_report_header() -> list[str]:
    return [] if _HAS_VECTORS else [f"{needs.missing('vectors')}: their tests are left out"]


def _reads_vectors(item: pytest.Item) -> bool:
    """Whether a test says so, or has no case, which is what a table leaves that is not there."""
    words = (word for mark in item.iter_markers("requires") for word in mark.args)
    no_case = (str(mark.kwargs.get("reason", "")) for mark in item.iter_markers("skip"))
    return "vectors" in words or any("empty parameter set" in reason for reason in no_case)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A word that is not in the list is an error at once; what only a virtual machine gives is marked so.

    Vectors are data beside the checkout, of which a clone knows nothing: where there are none their tests are not run.
    """
    if not _HAS_VECTORS:
        config.hook.pytest_deselected(items=[item for item in items if _reads_vectors(item)])
        items[:] = [item for item in items if not _reads_vectors(item)]
    for item in items:
        words = {word for mark in item.iter_markers("requires") for word in mark.args}
        unknown = words - needs.PROBES.keys()
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: requires unknown needs: {', '.join(sorted(unknown))}")
        if words & needs.VM_ONLY:
            item.add_marker(pytest.mark.vm)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    words = dict.fromkeys(word for mark in item.iter_markers("requires") for word in mark.args)
    lacking = [f"{word}: {reason}" for word in words if (reason := needs.missing(word))]
    if lacking:
        pytest.skip("; ".join(lacking))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip is for laptops: in CI it is a failure that says what was missing."""
    report = yield
    if _IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"in CI nothing skips: {item.nodeid}: {reason}"
    return report


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """A test that leaves a descriptor or a child process of the test process behind has failed."""
    descriptors, children = leaks.open_descriptors(), leaks.children()
    yield
    left = [f"descriptor {line}" for line in leaks.new_descriptors(descriptors)]
    left += [f"child process {pid}" for pid in leaks.children() - children]
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """A home with state and runtime directories of its own; after the test no process of it may be left."""
    place = Home.make(request.config.getoption("--storage-driver"))
    yield place
    left = leaks.wait_processes_gone(str(place.root))
    leaks.kill(left)
    place.remove()
    if left:
        pytest.fail("left running: " + "; ".join(left), pytrace=False)


@pytest.fixture(scope="session")
def filled_home(request: pytest.FixtureRequest) -> FilledHome:
    """Makes a home whose store a function has filled: for many tests to begin with a copy, `Home.take_store_of`."""

    @contextmanager
    def make(fill: Callable[[Sandbox], object]) -> Iterator[Home]:
        place = Home.make(request.config.getoption("--storage-driver"))
        try:
            fill(Sandbox(place))
            yield place
        finally:
            place.remove()

    return make


@pytest.fixture
def sandbox(home: Home) -> Iterator[Sandbox]:
    """The real command. Containers that the test left are removed; what remains running after that is a leak."""
    command = Sandbox(home)
    yield command
    command.remove_containers()
    # that a keeper ends by itself is seen by its own tests
    left = leaks.wait_processes_gone(str(home.root), hurry=True)
    runtime = [str(path) for path in home.runtime.glob("sandbox/containers/*")]
    if runtime and not left:
        pytest.fail("runtime files left: " + "; ".join(runtime), pytrace=False)


@pytest.fixture(scope="session")
def image_cache() -> Path:
    """Where images made by other tools are kept between runs."""
    return images.cache_directory()


@pytest.fixture(scope="session")
def busybox_layout(image_cache: Path) -> Path:
    """An OCI layout with the image `busybox` (tag `latest`), made by umoci of Debian's busybox-static."""
    _need("busybox", "umoci", "subids")
    return images.cached(image_cache, images.BUSYBOX)


@pytest.fixture(scope="session")
def debian_layout(image_cache: Path) -> Path:
    """An OCI layout with a Debian tree (tag `latest`): Python, nginx and redis, 6 layers, about 20,000 files."""
    _need("mmdebstrap", "umoci", "subids")
    return images.cached(image_cache, images.DEBIAN)


@pytest.fixture(scope="session")
def servers_layout(image_cache: Path) -> Path:
    """An OCI layout with the images `postgres`, `redis` and `nginx` (tag `latest`), of Debian's packages."""
    _need("mmdebstrap", "umoci", "subids")
    return images.cached(image_cache, images.SERVERS)


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """Debian's docker-registry on the loopback, plain HTTP, nothing in it."""
    _need("registry")
    with run_registry() as running:
        yield running


@pytest.fixture(scope="session")
def tls_registry() -> Iterator[Registry]:
    """As `registry`, over TLS with a certificate of a private authority (`ca_file`)."""
    _need("registry", "openssl")
    with run_registry(tls=True) as running:
        yield running


@pytest.fixture(scope="session")
def auth_registry() -> Iterator[Registry]:
    """As `registry`, with basic authentication (`user`, `password`)."""
    _need("registry")
    with run_registry(auth=True) as running:
        yield running


@pytest.fixture(scope="session")
def busybox_image(registry: Registry, busybox_layout: Path) -> str:
    """A reference, in `registry`, to the busybox image."""
    _need("skopeo")
    return registry.push(busybox_layout, "busybox:latest")


@pytest.fixture(scope="session")
def debian_image(registry: Registry, debian_layout: Path) -> str:
    """A reference, in `registry`, to the Debian image."""
    _need("skopeo")
    return registry.push(debian_layout, "debian:latest")


def _need(*words: str) -> None:
    lacking = [f"{word}: {reason}" for word in words if (reason := needs.missing(word))]
    if lacking:
        pytest.skip("; ".join(lacking))
