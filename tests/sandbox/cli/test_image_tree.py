"""The columns of `images --tree`, where there is room for them and where not."""

from __future__ import annotations

from sandbox.cli.image_tree import tree_lines
from sandbox.image.store import ImageRecord
from sandbox.image.tree import TreeImage


def _image(*names: str, in_use: bool = False) -> TreeImage:
    record = ImageRecord(
        f"sha256:{'a' * 64}", "", (), {}, "linux/amd64", f"sha256:{'b' * 64}", created_ns=0, pulled_ns=0,
        size_bytes=4_000_000,
    )  # fmt: skip
    return TreeImage(record, names, 2_000_000, in_use)


def test_each_image_has_its_names_and_what_it_is_for() -> None:
    lines = tree_lines([_image("busybox:1", "busybox:latest", in_use=True), _image()])
    assert lines == [
        "IMAGE            ID             DISK USAGE   CONTENT SIZE   EXTRA",
        "busybox:1",
        "busybox:latest   aaaaaaaaaaaa          6MB            2MB   U",
        "└─ linux/amd64   bbbbbbbbbbbb          6MB            2MB   U",
        "",
        "<untagged>       aaaaaaaaaaaa          6MB            2MB",
        "└─ linux/amd64   bbbbbbbbbbbb          6MB            2MB",
    ]


def test_a_narrow_terminal_has_fewer_columns_and_shorter_names() -> None:
    legend, _, *lines = tree_lines([_image("registry.example.org/team/app:1")], 60)
    assert legend.endswith("U  In Use")
    assert lines == [
        "IMAGE               ID             DISK USAGE   CONTENT SIZE",
        "registry.example…   aaaaaaaaaaaa          6MB            2MB",
        "└─ linux/amd64      bbbbbbbbbbbb          6MB            2MB",
    ]
    assert tree_lines([], 20)[2:] == ["IMAGE"]


def test_no_name_steers_a_terminal() -> None:
    assert "\x1b" not in "".join(tree_lines([_image("a\x1b[2Jb:1")]))
