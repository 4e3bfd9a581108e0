"""Images that the tests run, made by tools that are not ours: busybox-static, mmdebstrap, tar and umoci.

A recipe is a shell script; it runs as uid 0 of the user's subordinate ids in an empty directory and leaves an OCI
layout there in `layout`, tag `latest`. What it made is kept in the user's cache under the hash of the recipe.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.subordinate import remove_tree, run_as_namespace_root


class Recipe(NamedTuple):
    name: str
    script: str

    @property
    def key(self) -> str:
        return f"{self.name}-{hashlib.sha256(self.script.encode()).hexdigest()[:12]}"


def cache_directory() -> Path:
    """SANDBOX_TEST_CACHE, or a directory in the user's cache."""
    named = os.environ.get("SANDBOX_TEST_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = Path(named) if named else base / "sandbox-tests"
    place.mkdir(parents=True, exist_ok=True)
    return place


def cached(cache: Path, recipe: Recipe) -> Path:
    """The layout that `recipe` makes, made now where it is not there yet. Two that ask at once make it once."""
    place = cache / recipe.key
    with open(cache / f"{recipe.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _make(cache, recipe, place)
    return place / "layout"


def _make(cache: Path, recipe: Recipe, place: Path) -> None:
    for old in (*cache.glob(f"{recipe.name}-*"), *cache.glob(f"making-{recipe.name}-*")):
        remove_tree(str(old))
    making = Path(tempfile.mkdtemp(prefix=f"making-{recipe.name}-", dir=cache))
    try:
        run_as_namespace_root(["sh", "-euc", 'cd "$0"\n' + recipe.script, str(making)], mounts=True)
    except subprocess.CalledProcessError as error:
        remove_tree(str(making))
        raise RuntimeError(f"cannot make the image {recipe.name}: {error.stderr[-2000:]}") from error
    for part in making.iterdir():
        if part.name != "layout":
            remove_tree(str(part))
    making.rename(place)


def copy_layout(layout: Path, target: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(layout, target)
    return target


BUSYBOX = Recipe(
    "busybox",
    r"""
mkdir -p tree/bin tree/tmp tree/etc tree/root tree/home tree/dev tree/proc tree/sys
cp "$(command -v busybox)" tree/bin/busybox
for applet in $(busybox --list); do [ -e "tree/bin/$applet" ] || ln -s busybox "tree/bin/$applet"; done
chmod 1777 tree/tmp
cat >tree/etc/passwd <<END
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
user:x:1000:1000::/home:/bin/sh
END
printf 'root:x:0:\ndaemon:x:1:\nuser:x:1000:\nextra:x:2000:user\n' >tree/etc/group
tar --sort=name --mtime=@1700000000 --numeric-owner --owner=0 --group=0 -C tree -cf layer.tar .
umoci init --layout layout
umoci new --image layout:latest
umoci raw add-layer --image layout:latest layer.tar
umoci config --image layout:latest --config.cmd sh \
  --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  --created 2023-11-14T22:13:20Z --no-history
umoci gc --layout layout
""",
)

#: the tree is cut into layers by directory, so that unpacking has something to do in parallel; the last two change what
#: lies below: a file replaced, one removed, a directory made opaque
DEBIAN = Recipe(
    "debian",
    r"""
export PATH="$PATH:/usr/sbin:/sbin"
. /etc/os-release
mmdebstrap --mode=root --variant=minbase --quiet --skip=cleanup/reproducible \
  --include=python3,python3-setuptools,python3-pip-whl,nginx-light,redis-server,redis-tools \
  --include=perl-modules-5*,tzdata,python3-django,tango-icon-theme \
  "$VERSION_CODENAME" tree
rm -rf tree/var/cache/apt/* tree/var/lib/apt/lists/* tree/dev/*
mkdir -p tree/srv/www tree/opt/old
echo '<h1>served from a container</h1>' >tree/srv/www/index.html
echo old >tree/opt/old/file; echo old >tree/etc/replaced; echo gone >tree/etc/removed
pack() { name=$1; shift; tar --sort=name --numeric-owner --xattrs --xattrs-include='*' -C tree -cf "$name" "$@"; }
pack 1.tar --exclude=./usr/lib/python3 --exclude=./usr/lib/python3.* --exclude=./usr/share \
  --exclude=./usr/lib/*/perl* --exclude=./var/lib/dpkg .
pack 2.tar ./usr/share
pack 3.tar $(cd tree && ls -d ./usr/lib/python3 ./usr/lib/python3.*)
pack 4.tar $(cd tree && ls -d ./var/lib/dpkg ./usr/lib/*/perl* 2>/dev/null)
mkdir -p change/etc change/opt/old
echo new >change/etc/replaced; : >change/etc/.wh.removed
: >change/opt/old/.wh..wh..opq; echo new >change/opt/old/fresh
tar --sort=name --numeric-owner -C change -cf 5.tar ./etc/replaced ./etc/.wh.removed ./opt/old
mkdir -p last/srv/app
printf 'import http.server\nhttp.server.test(http.server.SimpleHTTPRequestHandler, port=8000)\n' >last/srv/app/serve.py
tar --sort=name --numeric-owner -C last -cf 6.tar ./srv/app
umoci init --layout layout
umoci new --image layout:latest
for layer in 1 2 3 4 5 6; do umoci raw add-layer --image layout:latest $layer.tar; done
umoci config --image layout:latest --config.cmd bash --config.env LANG=C.UTF-8 \
  --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umoci gc --layout layout
""",
)

#: what compiles C
GCC = Recipe(
    "gcc",
    r"""
export PATH="$PATH:/usr/sbin:/sbin"
. /etc/os-release
mmdebstrap --mode=root --variant=minbase --quiet --skip=cleanup/reproducible --include=gcc,libc6-dev,make \
  "$VERSION_CODENAME" tree
rm -rf tree/var/cache/apt/* tree/var/lib/apt/lists/* tree/dev/* tree/usr/share/doc tree/usr/share/locale
tar --sort=name --numeric-owner --xattrs --xattrs-include='*' -C tree -cf layer.tar .
umoci init --layout layout
umoci new --image layout:latest
umoci raw add-layer --image layout:latest layer.tar
umoci config --image layout:latest --config.cmd bash \
  --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umoci gc --layout layout
""",
)

#: the images `postgres`, `redis` and `nginx` over one tree, as their makers build them: the first two begin as root,
#: give their directory to a user of their own and become that; the third has workers of another user. Debian's
#: packages, without what servers do not need at run time (translations, the compiler that is a third of PostgreSQL)
SERVERS = Recipe(
    "servers",
    r"""
export PATH="$PATH:/usr/sbin:/sbin"
. /etc/os-release
mmdebstrap --mode=root --variant=essential --quiet --skip=cleanup/reproducible \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/i18n/*' \
  --dpkgopt='path-exclude=/usr/lib/locale/*' --dpkgopt='path-exclude=*/libLLVM*' \
  --include=postgresql,redis-server,nginx-light,gosu \
  "$VERSION_CODENAME" tree
rm -rf tree/var/cache/* tree/var/lib/apt tree/var/lib/dpkg tree/dev/* tree/var/lib/postgresql/* tree/etc/postgresql/*
# what makes half of the files, and no server opens
(cd tree/usr && rm -rf share/perl* lib/*/perl* lib/*/gconv lib/postgresql/*/lib/bitcode share/man share/lintian \
  share/bash-completion lib/systemd share/postgresql-common share/postgresql/*/man)
find tree/usr/share/zoneinfo -mindepth 1 -maxdepth 1 ! -name UTC ! -name GMT ! -name Etc -exec rm -rf {} +
ln -s $(cd tree && ls -d usr/lib/postgresql/*/bin/* | sed 's,^,/,') tree/usr/local/bin/
ln -sf /dev/stdout tree/var/log/nginx/access.log; ln -sf /dev/stderr tree/var/log/nginx/error.log
chroot tree install -d -o postgres -g postgres -m 3777 /run/postgresql /var/lib/postgresql/data
mkdir -p tree/srv/www tree/data
echo '<h1>served from a container</h1>' >tree/srv/www/index.html
echo 'server { listen 80; root /srv/www; }' >tree/etc/nginx/sites-available/default
cat >tree/usr/local/bin/postgres-entry <<'END'
#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chown postgres: "$PGDATA" && chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --auth=trust --no-sync --no-locale --encoding=UTF8 >/dev/null
  echo 'host all all all trust' >>"$PGDATA/pg_hba.conf"
  printf "jit = off\nlisten_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
fi
exec "$@"
END
cat >tree/usr/local/bin/redis-entry <<'END'
#!/bin/sh
set -e
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  chown redis: .
  exec setpriv --reuid redis --regid redis --clear-groups -- "$0" "$@"
fi
exec "$@"
END
chmod 755 tree/usr/local/bin/*-entry
tar --sort=name --numeric-owner --xattrs --xattrs-include='*' -C tree -cf layer.tar .
umoci init --layout layout
umoci new --image layout:base
umoci raw add-layer --image layout:base layer.tar
describe() { name=$1; shift; umoci config --image layout:base --tag "$name" --config.env \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
describe postgres --config.env PGDATA=/var/lib/postgresql/data --config.volume /var/lib/postgresql/data \
  --config.entrypoint postgres-entry --config.cmd postgres --config.exposedports 5432 --config.stopsignal SIGINT
describe redis --config.entrypoint redis-entry --config.cmd redis-server --config.cmd --protected-mode --config.cmd no \
  --config.volume /data --config.workingdir /data --config.exposedports 6379
describe nginx --config.cmd nginx --config.cmd -g --config.cmd 'daemon off;' --config.exposedports 80 \
  --config.stopsignal SIGQUIT
umoci rm --image layout:base
umoci gc --layout layout
# names that `load` gives
sed -i 's/\("org.opencontainers.image.ref.name":"[a-z]*\)"/\1:latest"/g' layout/index.json
""",
)
