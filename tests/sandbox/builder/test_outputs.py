"""`--output`, `--annotation` and SOURCE_DATE_EPOCH, read."""

from __future__ import annotations

import pytest

from sandbox.builder.results.exporting import with_epoch
from sandbox.builder.results.outputs import ImageForm, Output, read_epoch, read_outputs
from sandbox.errors import SandboxError, UsageError
from sandbox.image.references import parse_reference
from storage.tar.compress import Compression

_NAME = parse_reference("app:1")
_TWO = (parse_reference("a:1"), parse_reference("b"))


def _read(*texts: str, annotations: tuple[str, ...] = (), push: bool = False, load: bool = False) -> tuple[Output, ...]:
    return read_outputs(texts, (_NAME,), annotations, push=push, load=load)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("out", Output("local", "out")),
        ("-", Output("tar", "-")),
        ("type=local,dest=out,mode=delete", Output("local", "out", (_NAME,), replace=True)),
        ("type=tar,dest=-", Output("tar", "-", (_NAME,))),
        ("type=oci,dest=a.tar", Output("oci", "a.tar", (_NAME,))),
        ("type=oci,tar=false,dest=dir", Output("oci", "dir", (_NAME,), tar=False)),
        ("type=docker", Output("docker", "", (_NAME,))),
        ("type=registry", Output("image", "", (_NAME,), push=True)),
        ('type=image,"name=a:1,b",push=true', Output("image", "", _TWO, True)),
        ("type=image,push-by-digest=true,push=true", Output("image", "", (_NAME,), True, True)),
        (
            "type=image,compression=zstd,compression-level=9,force-compression=true,rewrite-timestamp=true",
            Output("image", "", (_NAME,), rewrite_times=True, form=ImageForm(True, Compression("zstd", 9), True)),
        ),
        ("type=image,oci-mediatypes=false,unpack=true", Output("image", "", (_NAME,), form=ImageForm(False))),
        ("type=image,annotation.a=b", Output("image", "", (_NAME,), form=ImageForm(annotations=(("a", "b"),)))),
        ("type=cacheonly", Output("cacheonly", "", (_NAME,))),
    ],
)  # fmt: skip
def test_outputs(text: str, want: Output) -> None:
    assert _read(text) == (want,)


def test_without_an_output_the_image_is_loaded() -> None:
    assert _read() == (Output("image", names=(_NAME,)),)
    assert all(output.loads for output in _read())
    assert [output.loads for output in _read("out", load=True)] == [False, True]
    assert [output.push for output in _read("type=image", "out", push=True)] == [True, False]
    assert [output.push for output in _read("out", push=True)] == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type=nonesuch", "unknown type 'nonesuch'"),
        ("type=imag", "did you mean image?"),
        ("dest=x", "type is required for output"),
        ("type=local", "dest is required"),
        ("type=local,dest=-", "type=tar,dest=-"),
        ("type=oci", "dest is required"),
        ("type=tar,dest=x,push=true", "type=tar knows no 'push'"),
        ("type=image,compresion=gzip", "did you mean compression?"),
        ("type=image,compression=estargz", "compression 'estargz' is not supported"),
        ("type=image,compression-level=12", "gzip has no compression level 12"),
        ("type=image,push=maybe", "non-bool value 'maybe'"),
        ("type=image,compression=zstd,oci-mediatypes=false", "Docker's media types know no zstd"),
        ("type=image,annotation.a=b,oci-mediatypes=false", "Docker's manifest has no annotations"),
        ("type=image,annotation-index.a=b", "an image of one platform"),
        ("type=image,registry.insecure=true", "registry.insecure is not supported"),
        ("type=oci,tar=false,dest=-", "tar=false needs a directory"),
        ("type=local,dest", "a field is key=value"),
        ('type=image,"name=a', 'missing closing "'),
    ],
)
def test_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        _read(text)
    assert said in caught.value.render()


def test_two_outputs_on_standard_output() -> None:
    with pytest.raises(UsageError, match="only one output"):
        _read("-", "type=oci,dest=-")


def test_push_without_a_name() -> None:
    with pytest.raises(UsageError, match="tag is needed"):
        read_outputs((), (), (), push=True, load=False)


def test_annotations() -> None:
    (output,) = _read(
        annotations=("a=b=c", "manifest:x=1", "manifest,manifest-descriptor:y=2", "manifest[linux/amd64]:z=")
    )
    assert output.form.annotations == (("a", "b=c"), ("x", "1"), ("y", "2"), ("z", ""))
    assert output.form.descriptor_annotations == (("y", "2"),)
    # a colon in a key that names no place is the key's own
    assert _read(annotations=("vnd:key=v",))[0].form.annotations == (("vnd:key", "v"),)
    for bad in ("a", "=b", "index:a=b"):
        with pytest.raises(UsageError):
            _read(annotations=(bad,))


def test_epoch() -> None:
    assert read_epoch({}, {}) is None
    assert read_epoch({"SOURCE_DATE_EPOCH": "7"}, {}) == 7
    assert read_epoch({"SOURCE_DATE_EPOCH": "7"}, {"SOURCE_DATE_EPOCH": "8"}) == 8
    assert read_epoch({"SOURCE_DATE_EPOCH": "7"}, {"SOURCE_DATE_EPOCH": ""}) is None
    for bad in ("-1", "now", "1.5", "9" * 30):
        with pytest.raises(SandboxError, match="invalid SOURCE_DATE_EPOCH"):
            read_epoch({"SOURCE_DATE_EPOCH": bad}, {})


def test_no_time_of_the_configuration_is_later_than_the_epoch() -> None:
    old, new = "1970-01-01T00:00:05Z", "2026-01-02T03:04:05.678Z"
    document = {"created": new, "history": [{"created": old}, {"created": new}, {"empty_layer": True}]}
    changed = with_epoch(document, 60)
    assert changed["created"] == "1970-01-01T00:01:00Z"
    assert [entry["created"] for entry in changed["history"]] == [old, "1970-01-01T00:01:00Z", "1970-01-01T00:01:00Z"]
    assert with_epoch(document, None) == document
