"""What may be given for an option, to type: imported where a value could not be read."""

from __future__ import annotations

_SIZE = "512m (b, k, m or g; without one it is bytes)"

#: an option's key -> the form of its value, by example
_FORMS: dict[str, str] = {
    "add-host": "--add-host db.local:10.0.0.5; host-gateway stands for the host's address",
    "attach": "--attach stdout",
    "cpus": "--cpus 1.5",
    "cpuset-cpus": "--cpuset-cpus 0-2,4",
    "cpu-shares": "--cpu-shares 1024, from 2 to 262144",
    "device": "--device /dev/fuse, or /dev/HOST:/dev/CONTAINER:rwm",
    "dns": "--dns 9.9.9.9",
    "domainname": "--domainname example.org",
    "env": "-e NAME=VALUE",
    "env-file": "--env-file FILE, with a line NAME=VALUE for each",
    "expose": "--expose 80, 53/udp or 8000-8010",
    "health-interval": "--health-interval 1m30s",
    "health-start-interval": "--health-start-interval 5s",
    "health-start-period": "--health-start-period 1m",
    "health-timeout": "--health-timeout 10s",
    "hostname": "--hostname web1",
    "ipc": "--ipc private, none, host or container:NAME",
    "label": "--label NAME=VALUE",
    "label-file": "--label-file FILE, with a line NAME=VALUE for each",
    "log-opt": "--log-opt max-size=10m",
    "memory": f"--memory {_SIZE}; 6m is the least",
    "memory-reservation": f"--memory-reservation {_SIZE}, with at least as much --memory",
    "memory-swap": "--memory 512m --memory-swap 1g (both together), or -1 for no limit",
    "mount": "--mount type=bind,src=/HOST,dst=/CONTAINER; type=volume,src=NAME,dst=…; type=tmpfs,dst=…",
    "oom-score-adj": "--oom-score-adj 500",
    "pid": "--pid host or container:NAME",
    "publish": "-p HOST:CONTAINER, as -p 8080:80, 127.0.0.1:8080:80 or 5353:53/udp",
    "restart": "--restart no, always, unless-stopped or on-failure:3",
    "secret": "--secret NAME, or NAME,target=/FILE,uid=0,gid=0,mode=0400, or NAME,type=env,target=VARIABLE",
    "security-opt": "--security-opt no-new-privileges or seccomp=FILE",
    "shm-size": f"--shm-size {_SIZE}",
    "sysctl": "--sysctl net.core.somaxconn=1024",
    "tmpfs": "--tmpfs /run:size=64m,mode=1777",
    "ulimit": "--ulimit nofile=1024:4096",
    "uts": "--uts host, or leave it out",
    "volume": "-v /HOST:/CONTAINER, -v NAME:/CONTAINER, with :ro to read only",
    "workdir": "-w /DIRECTORY",
}


def form_of(key: str) -> str:
    """The form for option `key`, or ""."""
    return _FORMS.get(key, "")
