"""Which texts name a Git repository, and what is asked of it (BuildKit's table of them)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.builder.sources.copy_sources import StepError
from sandbox.builder.sources.git_urls import GitUrl, parse_git_url
from sandbox.builder.sources.url_source import url_name

_HUB = "https://github.com/moby/buildkit.git"


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/", "https://example.com/foo", "https://example.com/foo.git/",
        "https://example.com/foo.git.bar", "custom.xyz/moby/buildkit.git", "https://github.com/moby/buildkit",
        "http://github.com/docker/docker.git:#branch", "./.git", ".git", "../x.git", "file:///etc/x.git",
        "ext::sh -c id.git", "host:path.git", "a b@host:path", "github.com/moby/buildkit", "",
    ],
)  # fmt: skip
def test_what_is_no_repository(text: str) -> None:
    assert parse_git_url(text) is None


@pytest.mark.parametrize(
    ("text", "remote", "ref", "subdirectory"),
    [
        ("https://example.com/foo.git", "https://example.com/foo.git", "", ""),
        ("https://example.com/foo.git#deadbeef", "https://example.com/foo.git", "deadbeef", ""),
        ("https://example.com/foo.git#release/1.2", "https://example.com/foo.git", "release/1.2", ""),
        ("https://foo.com/bar.git#baz/qux:quux/quuz", "https://foo.com/bar.git", "baz/qux", "quux/quuz"),
        ("https://foo.com/bar.git#:myfolder", "https://foo.com/bar.git", "", "myfolder"),
        ("https://foo.com/bar.git#:../../x", "https://foo.com/bar.git", "", "x"),
        ("git://example.com/foo", "git://example.com/foo", "", ""),
        ("ssh://git@example.com:22/foo", "ssh://git@example.com:22/foo", "", ""),
        ("git@github.com:moby/buildkit", "git@github.com:moby/buildkit", "", ""),
        ("git@host:r.git?subdir=/s#v1.0.0", "git@host:r.git", "v1.0.0", "s"),
        (f"{_HUB}?ref=v1.0.0&subdir=/subdir", _HUB, "v1.0.0", "subdir"),
        (f"{_HUB}?tag=v1.0.0", _HUB, "refs/tags/v1.0.0", ""),
        (f"{_HUB}?branch=v1.0", _HUB, "refs/heads/v1.0", ""),
    ],
)
def test_where_it_is_and_what_of_it(text: str, remote: str, ref: str, subdirectory: str) -> None:
    found = parse_git_url(text)
    assert found is not None
    assert (found.remote, found.ref, found.subdirectory) == (remote, ref, subdirectory)


def test_a_context_may_leave_the_scheme_of_github_out() -> None:
    found = parse_git_url("github.com/moby/buildkit#master", as_context=True)
    assert found == GitUrl("https://github.com/moby/buildkit", "https", "github.com", "master")


def test_switches_of_the_query() -> None:
    found = parse_git_url(f"{_HUB}?keep-git-dir&submodules=false&mtime=checkout&commit=abc")
    assert found is not None
    assert (found.keep_git_dir, found.submodules, found.commit_times, found.checksum) == (True, False, False, "abc")


@pytest.mark.parametrize(
    "text",
    [
        f"{_HUB}?ref=v1.0.0#v1.2.3", f"{_HUB}?ref=v1.0.0&tag=v1.2.3", f"{_HUB}?tag=v1.0.0&branch=v1.0",
        f"{_HUB}?mtime=invalid", f"{_HUB}?submodules=maybe", f"{_HUB}?invalid=123", f"{_HUB}?ref=",
        f"{_HUB}?ref=a&ref=b",
        # options for git and ssh: CVE-2019-13139, CVE-2017-1000117
        f"{_HUB}#--upload-pack=sh", f"{_HUB}?ref=-x", "git://-oProxyCommand=id/x", "git@-oProxyCommand:x",
        f"{_HUB}#a b", f"{_HUB}#refs/*:x", "git:///x",
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(StepError):
        parse_git_url(text)


@given(
    st.one_of(
        st.text(),
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["https://", "http://h/", "git://", "ssh://u@", "git@h:", "github.com/"]),
            st.text(alphabet="ab/.:@[]?#&=%-~ \n\0é"),
            st.sampled_from(["", ".git", ".git#", "?ref=", "?subdir=.."]),
        ),
    )
)
def test_any_text_is_a_repository_or_not_or_refused(text: str) -> None:
    for as_context in (False, True):
        try:
            found = parse_git_url(text, as_context=as_context)
        except StepError:
            continue
        if found is not None:
            assert not found.ref.startswith("-")
            assert not found.host.startswith("-")
            assert ".." not in found.subdirectory.split("/")
    try:
        name = url_name(text)
    except StepError:
        return
    assert "/" not in name
    assert name not in ("", ".", "..")
