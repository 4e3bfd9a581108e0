"""What each check is about, for `sandbox doctor CODE`."""

from __future__ import annotations

EXPLANATIONS: dict[str, str] = {
    "kernel": (
        "Overlay mounts by users came with Linux 5.11. Older kernels lack calls that sandbox relies on to "
        "keep paths inside a container's tree."
    ),
    "userns": (
        "A container is root in a user namespace and nobody special outside. Some machines forbid users to "
        "make one: by user.max_user_namespaces=0, by kernel.unprivileged_userns_clone=0, or, on Ubuntu since "
        "23.10, by an AppArmor rule that gives them to named programs only. In a container, the outer one's "
        "seccomp profile may forbid it (docker run --security-opt seccomp=unconfined)."
    ),
    "subids": (
        "Files of an image belong to several users. Each needs an id of its own on this machine, taken from a"
        " range that /etc/subuid and /etc/subgid give to you: 65536 ids each."
    ),
    "getsubids": (
        "Where users come from a directory (LDAP, AD, NIS), the ranges may too; /etc/nsswitch.conf names the "
        "source on a line `subid:`, and getsubids shows what newuidmap will see."
    ),
    "idmap": (
        "newuidmap and newgidmap (package uidmap or shadow-utils) write the id map. They need their "
        "set-user-id bit or file capabilities, a mount without nosuid, and a parent without no_new_privs."
    ),
    "ownership": (
        "Unpacked images keep their true owners, shifted into your range. File systems of the network mostly "
        "refuse that, as their server knows no such ids."
    ),
    "overlay": (
        "The kernel's overlay lets containers share an image's layers and start at once. Where it does not "
        "mount, each container's tree is a copy."
    ),
    "space": ("Images, containers and volumes lie below XDG_DATA_HOME, by default ~/.local/share/sandbox."),
    "local-disk": (
        "Layers on NFS, Lustre, GPFS and the like are slow where they work at all. Put the data root on a "
        "local disk with XDG_DATA_HOME."
    ),
    "mount-options": ("noexec and nosuid on the data root's mount hold for a container's tree too where it is a copy."),
    "runtime-directory": (
        "Sockets and mount points of running containers. XDG_RUNTIME_DIR is made by the log-in; where it is "
        "unset, or leaked from another user by su or sudo, a private directory below /tmp is used."
    ),
    "seccomp": ("Docker's default list of system calls is enforced by a filter that libseccomp compiles."),
    "tun": (
        "slirp4netns gives a container's network an interface through /dev/net/tun. Without it there are "
        "--network host and --network none."
    ),
    "slirp4netns": (
        "The way from a container's network to the world, without privilege, and the way in for published "
        "ports. The check starts it for an empty network."
    ),
    "bridge": (
        "Containers on bridge networks find each other, and keep the addresses of those who call. It takes nf_tables, "
        "veth and bridge of the kernel, usable in a user's own network namespace, and libnftables; the check makes "
        "one. Where it cannot, each container has a private slirp4netns."
    ),
    "keeper": (
        "While containers are on bridge networks one process, sandbox-keeper, answers their names and starts "
        "slirp4netns again where that ends. Killed, it is started anew by the containers' monitors; it ends after the "
        "last of them."
    ),
    "ipv6": (
        "`network create --ipv6` gives containers IPv6 addresses of their own, which slirp4netns leads out where the "
        "host has IPv6."
    ),
    "subnets": (
        "A network's subnet is chosen beside the host's routes, but a route that comes later, of a VPN say, may lie in "
        "it: containers on that network do not reach what is behind the route. All others do."
    ),
    "ports": (
        "Users may publish ports from net.ipv4.ip_unprivileged_port_start on. Below that: publish another, or"
        " let an administrator lower it."
    ),
    "ping": (
        "slirp4netns answers a container's ping with a ping socket of yours, which net.ipv4.ping_group_range "
        "must allow to one of your groups."
    ),
    "fuse": ("File systems in user space, for what the kernel's overlay cannot do. Nothing of the main job needs it."),
    "cgroup": (
        "--memory and --cpus are enforced by cgroup v2, in a subtree that is delegated to you: systemd does "
        "it for log-in users, once it is told for cpu."
    ),
    "linger": (
        "systemd ends all processes of a user at the end of the last session, containers included, unless "
        "lingering is on for that user."
    ),
    "autostart": (
        "--restart always and unless-stopped hold as long as the machine is up. `sandbox system autostart enable` has "
        "systemd or cron start those containers at boot; with systemd your lingering must be on for that."
    ),
}
