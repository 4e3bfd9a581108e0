"""A project as it is found and completed: files, names, variables; and each way in which one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.errors import UsageError
from sandbox.stack.consistency import require_own_names
from sandbox.stack.errors import ComposeFileError
from sandbox.stack.fixed_addresses import require_fixed_addresses
from sandbox.stack.operations import load_project
from sandbox.stack.project_request import Caller, ProjectRequest
from sandbox.stack.selecting import in_order
from tests.sandbox.stack.projects import document, load, one, write

if TYPE_CHECKING:
    from pathlib import Path

_SMALL = "services: {web: {image: 'i:${TAG:-none}'}}"


def test_files_are_found(tmp_path: Path) -> None:
    below = tmp_path / "Some Place" / "sub"
    below.mkdir(parents=True)
    with pytest.raises(ComposeFileError, match="no configuration file provided: not found"):
        load(below)
    (tmp_path / "docker-compose.yml").write_text("services: {old: {image: i}}")
    assert load(below).services.names == ("old",)
    assert load(below).working_directory == str(tmp_path)
    write(tmp_path / "Some Place", compose=_SMALL)
    (tmp_path / "Some Place" / "compose.override.yaml").write_text("services: {web: {labels: [over]}}")
    found = load(below)
    assert (found.name, found.services.names) == ("someplace", ("web",))
    assert dict(found.services)["web"].labels == (("over", ""),)
    assert len(found.files) == 2
    named = load(below, env={"COMPOSE_FILE": "../compose.yaml"})
    assert dict(named.services)["web"].labels == ()
    with pytest.raises(ComposeFileError, match=r"cannot read no.yaml: no such file"):
        load(below, files=("no.yaml",))
    with pytest.raises(ComposeFileError) as caught:
        load(below, files=("..",))
    assert caught.value.mend == "-f ../compose.yaml"


def test_standard_input_is_a_file(tmp_path: Path) -> None:
    caller = Caller(str(tmp_path), {}, b"services: {web: {build: .}}")
    found = load_project(ProjectRequest(files=("-",), name="p"), caller)
    build = dict(found.services)["web"].build
    assert build is not None
    assert build.context == str(tmp_path)
    with pytest.raises(ComposeFileError, match=r"stdin:1:18: services.web.imag: a service has no key 'imag'"):
        load_project(ProjectRequest(files=("-",)), caller._replace(stdin=b"services: {web: {imag: x}}"))


def test_names(tmp_path: Path) -> None:
    write(tmp_path, compose=f"name: from-${{WHAT:-file}}\n{_SMALL}")
    assert load(tmp_path).name == "from-file"
    assert load(tmp_path, env={"WHAT": "env"}).name == "from-env"
    assert load(tmp_path, env={"COMPOSE_PROJECT_NAME": "of-env"}).name == "of-env"
    assert load(tmp_path, name="given", env={"COMPOSE_PROJECT_NAME": "of-env"}).name == "given"
    with pytest.raises(UsageError) as caught:
        load(tmp_path, name="Not Good")
    assert caught.value.mend == "-p notgood"
    project = one(
        tmp_path,
        "name: p\nservices: {a: {image: i, networks: [n, e], volumes: ['vol:/v'], secrets: [s]}}\n"
        "networks: {n: , e: {external: true}, }\nvolumes: {vol: {name: mine}}\nsecrets: {s: {file: f}}\n",
    )
    assert [each.name for _, each in project.networks] == ["e", "p_n"]
    assert [each.name for _, each in project.volumes] == ["mine"]
    assert [each.name for _, each in project.secrets] == ["p_s"]


def test_variables(tmp_path: Path) -> None:
    write(tmp_path, compose="services: {web: {image: '$A-$B-$C', environment: [A, NONE, X=$COMPOSE_PROJECT_NAME]}}")
    (tmp_path / ".env").write_text("A=dot\nB=dot\nC=$A\n")
    project = load(tmp_path, env={"A": "shell"}, name="p")
    web = dict(project.services)["web"]
    assert web.image == "shell-dot-shell"
    assert dict(web.environment) == {"A": "shell", "NONE": None, "X": "p"}
    (tmp_path / "one.env").write_text("A=1\nB=1\n")
    (tmp_path / "two.env").write_text("B=2\n")
    project = load(tmp_path, env_files=("one.env", "two.env"))
    assert dict(project.services)["web"].image == "1-2-"
    assert project.env_files == ("one.env", "two.env")
    assert project.notes == ('The "C" variable is not set. Defaulting to a blank string.',)
    assert dict(load(tmp_path, env={"COMPOSE_DISABLE_ENV_FILE": "1"}).services)["web"].image == "--"
    with pytest.raises(ComposeFileError, match=r"env file .*no.env not found"):
        load(tmp_path, env_files=("no.env",))


def test_env_files_of_services(tmp_path: Path) -> None:
    text = """
    services:
      web:
        image: i
        env_file: [a.env, {path: b.env, required: false}, {path: raw.env, format: raw}]
        environment: {OWN: own, A: own, EMPTY: }
        label_file: labels
    """
    (tmp_path / "a.env").write_text("A=file\nB=$OWN-$A\nEMPTY=file\n")
    (tmp_path / "raw.env").write_text("RAW='$x'\n")
    (tmp_path / "labels").write_text("a=1\nb=$a\n")
    web = dict(one(tmp_path, text).services)["web"]
    assert dict(web.environment) == {"OWN": "own", "A": "own", "B": "own-own", "EMPTY": None, "RAW": "'$x'"}
    assert dict(web.labels) == {"a": "1", "b": "1"}
    (tmp_path / "a.env").unlink()
    with pytest.raises(ComposeFileError) as caught:
        load(tmp_path)
    assert f"services.web.env_file: env file {tmp_path}/a.env not found" in caught.value.message
    assert caught.value.mend.startswith("make it, or ")
    assert "required: false" in caught.value.mend
    # many a project comes with an example of it
    (tmp_path / "a.env.example").touch()
    with pytest.raises(ComposeFileError) as caught:
        load(tmp_path)
    assert caught.value.mend.startswith(f"cp {tmp_path}/a.env.example {tmp_path}/a.env, or ")


def test_a_variable_without_a_value_is_no_server_of_names(tmp_path: Path) -> None:
    text = "services: {web: {image: i, dns: $UNSET}, db: {image: i, dns: ['', 192.0.2.1]}}"
    services = dict(one(tmp_path, text).services)
    assert (services["web"].dns, services["db"].dns) == ((), ("192.0.2.1",))


@pytest.mark.parametrize("kind", ["networks", "volumes", "secrets", "configs"])
def test_an_external_thing_has_one_name(tmp_path: Path, kind: str) -> None:
    text = f"services: {{web: {{image: i}}}}\n{kind}:\n  n: {{name: %s, external: {{name: b}}}}\n"
    assert one(tmp_path, text % "b").name
    with pytest.raises(ComposeFileError) as caught:
        one(tmp_path, text % "a")
    said = f"compose.yaml:3:6: {kind}.n: 'name' and the name below 'external' conflict: 'a', 'b'"
    assert said in caught.value.message
    assert caught.value.mend == "write name: a and external: true"


def test_what_is_understood(tmp_path: Path) -> None:
    found = document(
        one(
            tmp_path,
            """
            name: p
            services:
              a:
                image: i
                links: [b, "c:alias"]
                network_mode: service:d
                volumes_from: [e, "container:x"]
                scale: 2
                pull_policy: if_not_present
              b: {build: {context: "https://example.com/x.git"}}
              c: {image: i, networks: []}
              d: {image: i}
              e: {image: i, gpus: all, secrets: [s]}
            secrets: {s: {environment: HOME}}
            """,
        )
    )
    a = found["services"]["a"]
    assert set(a["depends_on"]) == {"b", "c", "d", "e"}
    assert a["depends_on"]["d"] == {"condition": "service_started", "restart": True, "required": True}
    assert "networks" not in a
    assert a["pull_policy"] == "missing"
    assert found["services"]["b"]["build"] == {"context": "https://example.com/x.git", "dockerfile": "Dockerfile"}
    assert found["services"]["c"]["networks"] == {"default": None}
    assert found["services"]["e"]["gpus"] == [{"count": -1}]
    assert found["services"]["e"]["secrets"] == [{"source": "s", "target": "/run/secrets/s"}]
    assert found["networks"] == {"default": {"name": "p_default"}}


@pytest.mark.parametrize(
    ("body", "says", "mend"),
    [
        ("imag: x", "compose.yaml:3:5: services.web.imag: a service has no key 'imag'", "write 'image'"),
        ("image: 5", "3:12: services.web.image: the number 5 stands where a text is expected", 'write "5" in quotes'),
        ("image: i\n    ports: {a: b}", "4:12: services.web.ports: a mapping stands where a list of ports", ""),
        ("image: i\n    ports:\n      - '80'\n      - {target: x}",
         "6:18: services.web.ports[1].target: the text 'x'", ""),
        ("image: i\n    restart: [a]", "services.web.restart: a list stands where a text is expected", ""),
        ("image: i\n    tty: maybe", "services.web.tty: the text 'maybe' stands where true or false is expected", ""),
        ("image: i\n    mem_limit: 5q", "services.web.mem_limit: invalid size", "write a size as 512m or 2g"),
        ("image: i\n    stop_grace_period: 5", "services.web.stop_grace_period: the number 5", 'write "5" in quotes'),
        ("image: i\n    stop_grace_period: '5'", "'5' is no duration", "write one as 1m30s"),
        ("build: {provenance: 5}", "the number 5 stands where a text, or true or false, is expected", ""),
        ("build: {sbom: }", "services.web.build.sbom: nothing stands where a text, or true or false, is", ""),
        ("image: i\n    healthcheck: {test: [a]}", "a test begins with CMD, CMD-SHELL or NONE", "write [CMD, a, …]"),
        ("image: i\n    depends_on: {a: {condition: service_started}}", "depends on undefined service 'a'", ""),
        ("image: i\n    depends_on: [webb]", "depends on undefined service 'webb'", ""),
        ("image: i\n    extend: {service: a}", "a service has no key 'extend'", "write 'extends'"),
        ("image: i\ninclud: []", "a Compose file has no key 'includ'", "write 'include'"),
        ("image: i\n    depends_on: [web]", "dependency cycle detected: web -> web", ""),
        ("image: i\n    depends_on: {web: {condition: service_helthy}}", "is none of", "write 'service_healthy'"),
        ("image: i\n    volumes: ['vol:/v']",
         "4:15: services.web.volumes[0]: service 'web' refers to undefined volume", ""),
        ("image: i\n    networks: [n]", "refers to undefined network 'n'", "add 'n' to the file's networks"),
        ("image: i\n    secrets: [n]", "refers to undefined secret 'n'", "add 'n' to the file's secrets"),
        ("image: i\n    configs: [n]", "refers to undefined config 'n'", ""),
        ("tty: true", "2:3: services.web: service 'web' has neither an image nor a build context", "image: NAME"),
        ("image: i\n    network_mode: host\n    networks: [default]", "exclude each other", ""),
        ("image: i\n    scale: 2\n    container_name: xy", "a container's name is unique", ""),
        ("image: i\n    scale: 2\n    deploy: {replicas: 3}", "say different numbers", ""),
        ("image: i\n    scale: -1", "must be greater than or equal to 0", ""),
        ("image: i\n    cpus: 1\n    deploy: {resources: {limits: {cpus: 2}}}",
         "can't set distinct values on 'cpus'", ""),
        ("image: i\n    tmpfs: /x\n    volumes: [/x]",
         "services.web.volumes[0]: /x is mounted by services.web.tmpfs", ""),
        ("image: i\n    volumes: [{type: bind, target: /x}]", "needs the key 'source'", ""),
        ("image: i\n    volumes: [{type: bnd, target: /x}]", "'bnd' is none of", "write 'bind'"),
        ("image: i\n    cap_add: [{}]", "services.web.cap_add[0]: a mapping stands where a text", ""),
        ("image: i\n    security_opt: [a, a]", "services.web.security_opt[1]: 'a' stands twice", ""),
        ("image: i\n    ulimits: {nofile: {soft: 1}}", "a limit needs the key 'hard'", ""),
        ("image: i\n    container_name: -x", "no container can have the name '-x'", ""),
        ("image: '${'", "services.web.image: invalid interpolation format", "write $$ for a $"),
        ("image: '${A:?set A}'", "required variable A is missing a value: set A", ""),
        ("image: i\n    environment: {A: [1]}", "services.web.environment.A: a list stands where", ""),
        ("image: i\n    gpus: [{count: 1, device_ids: [a]}]", "exclude each other", ""),
        ("image: i\n    develop: {watch: [{path: ., action: sync}]}", "the action 'sync' needs the key 'target'", ""),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, body: str, says: str, mend: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        one(tmp_path, f"services:\n  web:\n    {body}\n")
    assert says in caught.value.message
    assert caught.value.message.startswith("compose.yaml:")
    assert mend in caught.value.mend
    assert not caught.value.mend.startswith("write 'web'")


_ADDRESSES = """
services:
  web: {{image: i, networks: {{front: {{{0}}}}}{1}}}
  other: {{image: i, networks: {{front: {{ipv4_address: 172.30.0.9}}}}}}
networks:
  front: {{ipam: {{config: [{{subnet: 172.30.0.0/24, aux_addresses: {{kept: 172.30.0.77}}}}]}}}}
"""


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            "ipv4_address: 172.31.0.9",
            "no configured subnet contains IP address 172.31.0.9: the network has 172.30.0.0/24",
        ),
        ("ipv4_address: 172.30.0.0", "Address already in use: 172.30.0.0 is"),
        ("ipv4_address: 172.30.0.255", "Address already in use: 172.30.0.255 is"),
        ("ipv4_address: 172.30.0.1", "Address already in use: 172.30.0.1 is"),
        ("ipv4_address: 172.30.0.77", "Address already in use: 172.30.0.77 is"),
        ("ipv4_address: 172.30.0.300", "invalid IPv4 address: 172.30.0.300"),
        ("ipv4_address: 'fd00::9'", "invalid IPv4 address: fd00::9"),
        ("ipv6_address: 'fd00::9'", "user specified IP address is supported only when connecting to networks with"),
    ],
)
def test_addresses_that_networks_do_not_have(tmp_path: Path, asked: str, says: str) -> None:
    project = one(tmp_path, _ADDRESSES.format(asked, ""))
    with pytest.raises(ComposeFileError) as caught:
        require_fixed_addresses(project)
    assert caught.value.message.startswith("compose.yaml:3:")
    assert says in caught.value.message


def test_an_address_is_that_of_one_container(tmp_path: Path) -> None:
    for asked, more, says in (
        ("ipv4_address: 172.30.0.9", "", "service 'other' has 172.30.0.9 on this network"),
        ("ipv4_address: 172.30.0.8", ", scale: 2", "172.30.0.8 cannot be that of 2 containers"),
    ):
        with pytest.raises(ComposeFileError) as caught:
            require_fixed_addresses(one(tmp_path, _ADDRESSES.format(asked, more)))
        assert says in caught.value.message
    require_fixed_addresses(one(tmp_path, _ADDRESSES.format("ipv4_address: 172.30.0.8", "")))
    # what there is of an external network is seen when it is looked for
    external = _ADDRESSES.format("ipv4_address: 10.0.0.9", "").partition("networks:\n")[0]
    require_fixed_addresses(one(tmp_path, external + "networks: {front: {external: true}}\n"))


def test_two_containers_of_one_name(tmp_path: Path) -> None:
    project = one(tmp_path, "services:\n  web: {image: i, container_name: xy}\n  v: {image: i, container_name: xy}\n")
    with pytest.raises(ComposeFileError) as caught:
        require_own_names(project)
    assert "compose.yaml:2:" in caught.value.message
    assert "container name \"xy\" is already in use by service 'v'" in caught.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("servces: {}", "compose.yaml:1:1: servces: a Compose file has no key 'servces'"),
        ("- a", "compose.yaml:1:1: a list stands where a mapping, with 'services' in it"),
        ("", "empty compose file: compose.yaml"),
        ("services: {'a b': {image: i}}", "services.a b: 'a b' is no name"),
        ("services: {}\nsecrets: {s: {}}", "2:11: secrets.s: one of file, environment must be set"),
        ("services: {}\nsecrets: {s: {file: a, environment: b}}", "'file' and 'environment' exclude each other"),
        ("services: {}\nvolumes: {v: {external: true, driver: x}}",
         "volumes.v.driver: 'external' goes with no 'driver'"),
        ("services: {}\nnetworks: [a]", "networks: a list stands where a mapping of networks"),
        ("services: {}\nversion: 3", "version: the version is a text"),
    ],
)  # fmt: skip
def test_what_no_file_is(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        one(tmp_path, text)
    assert says in caught.value.message


def test_what_is_old_is_told(tmp_path: Path) -> None:
    project = one(tmp_path, 'version: "3.8"\nservices: {a: {image: i}}\nnetworks: {n: {external: {name: old}}}')
    assert "the attribute `version` is obsolete" in project.notes[0]
    kept = load(tmp_path, keeps_unused=True)
    assert dict(kept.networks)["n"].name == "old"


def test_long_chains(tmp_path: Path) -> None:
    chain = "".join(f"  s{n}: {{image: i, depends_on: [s{n + 1}]}}\n" for n in range(2000))
    project = one(tmp_path, f"services:\n{chain}  s2000: {{image: i}}\n", services=("s0",))
    assert in_order(project, ("s0",))[:2] == ("s2000", "s1999")
    with pytest.raises(ComposeFileError, match="dependency cycle detected: s1 -> s2 -> s1"):
        one(tmp_path, "services:\n  s1: {image: i, depends_on: [s2]}\n  s2: {image: i, depends_on: [s1]}\n")
    deep = "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(200))
    with pytest.raises(ComposeFileError, match="extend each other more than 100 deep"):
        one(tmp_path, f"services:\n{deep}  s200: {{image: i}}\n")


def test_paths_of_the_long_form(tmp_path: Path) -> None:
    mounts = "[{type: bind, source: ./x, target: /x/}, {type: bind, source: ~/y, target: /h}]"
    volumes = dict(one(tmp_path, f"services: {{a: {{image: i, volumes: {mounts}}}}}").services)["a"].volumes
    assert [getattr(each, "source", "") for each in volumes] == [f"{tmp_path}/x", "/home/dev/y"]
    assert [getattr(each, "target", "") for each in volumes] == ["/x", "/h"]
