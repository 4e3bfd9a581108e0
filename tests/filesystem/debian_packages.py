"""A Debian tree with apt, and the packages it installs: Debian's own from its archive, and `probe` in two versions.

Debian's are those that do to a file system what others do not: hard links (bzip2), file capabilities (iputils-ping),
set-user-id files of groups that are made in between (dbus, sudo, cron), triggers that write caches (man-db), diversions
and thousands of files (perl-doc, perl). `probe` does in one package what dpkg knows of, on files of its own and on one
of the layer below.
"""

from __future__ import annotations

from tests.images import Recipe

#: from Debian's archive; what they depend on comes too
DEBIAN_PACKAGES = ("bzip2", "cron", "dbus", "iputils-ping", "libcap2-bin", "man-db", "perl", "perl-doc", "sudo")
#: where the image has the archives; the second holds what is newer
ARCHIVES = ("/srv/archive/first", "/srv/archive/second")
#: belongs to a package of the tree below
DIVERTED = "/usr/share/base-files/motd"

_PROBE = r"""
package() { # name version: builds what lies in the directory `package` for the archive $archive
  mkdir -p package/DEBIAN
  { printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n' "$1" "$2"
    printf 'Description: a test of file systems\n'; cat; } >package/DEBIAN/control
  (cd package && find . -path ./DEBIAN -prune -o -type f -exec md5sum {} + | sed 's, \./, ,') >package/DEBIAN/md5sums
  chmod 755 package/DEBIAN/p* 2>/dev/null || :
  dpkg-deb --root-owner-group -Zgzip -b package "$archive/$1_$2_all.deb" >/dev/null
  rm -rf package
}
common() {
  mkdir -p package/DEBIAN package/etc/probe package/usr/bin package/usr/libexec package/usr/share/probe
  mkdir -p package/usr/share/base-files package/var/lib/probe
  echo "echo probe $1" >package/usr/bin/probe; chmod 755 package/usr/bin/probe
  ln package/usr/bin/probe package/usr/bin/probe-link
  ln package/usr/bin/probe package/usr/share/probe/third-link
  echo "setting = $1" >package/etc/probe/kept.conf; echo "setting = $1" >package/etc/probe/edited.conf
  echo helper >package/usr/libexec/probe-helper; chmod 4755 package/usr/libexec/probe-helper
  chmod 2775 package/var/lib/probe
  echo network >package/usr/libexec/probe-network; chmod 755 package/usr/libexec/probe-network
  echo "probe's own" >package/usr/share/base-files/motd
  mkfifo package/usr/share/probe/fifo
  for number in $(seq 300); do echo "$1 $number" >package/usr/share/probe/file$number; done
  cat >package/DEBIAN/preinst <<'END'
#!/bin/sh
set -e
[ "$1" != install ] || dpkg-divert --package probe --rename --divert /usr/share/base-files/motd.base \
  --add /usr/share/base-files/motd
dpkg-maintscript-helper dir_to_symlink /usr/share/probe/place elsewhere 2.0 probe -- "$@"
dpkg-maintscript-helper rm_conffile /etc/probe/old.conf 2.0 probe -- "$@"
dpkg-maintscript-helper mv_conffile /etc/probe/moved.conf /etc/probe/here.conf 2.0 probe -- "$@"
END
  cat >package/DEBIAN/postinst <<'END'
#!/bin/sh
set -e
dpkg-maintscript-helper dir_to_symlink /usr/share/probe/place elsewhere 2.0 probe -- "$@"
dpkg-maintscript-helper rm_conffile /etc/probe/old.conf 2.0 probe -- "$@"
dpkg-maintscript-helper mv_conffile /etc/probe/moved.conf /etc/probe/here.conf 2.0 probe -- "$@"
if [ "$1" = triggered ]; then echo "$2" >>/var/lib/probe/triggered; exit 0; fi
getent passwd probe >/dev/null || useradd --system --home-dir /var/lib/probe --shell /usr/sbin/nologin probe
dpkg-statoverride --list /var/lib/probe >/dev/null ||
  dpkg-statoverride --update --add probe probe 2770 /var/lib/probe
setcap cap_net_bind_service=ep /usr/libexec/probe-network
update-alternatives --install /usr/bin/trial trial /usr/bin/probe 50
END
  cat >package/DEBIAN/prerm <<'END'
#!/bin/sh
set -e
[ "$1" != remove ] || update-alternatives --remove trial /usr/bin/probe
END
  cat >package/DEBIAN/postrm <<'END'
#!/bin/sh
set -e
dpkg-maintscript-helper rm_conffile /etc/probe/old.conf 2.0 probe -- "$@"
[ "$1" != remove ] || dpkg-divert --package probe --rename --divert /usr/share/base-files/motd.base \
  --remove /usr/share/base-files/motd
if [ "$1" = purge ]; then
  rm -rf /var/lib/probe
  dpkg-statoverride --remove /var/lib/probe
  userdel probe
fi
END
  echo 'interest-noawait /usr/share/probe-data' >package/DEBIAN/triggers
  printf '/etc/probe/%s\n' kept.conf edited.conf >package/DEBIAN/conffiles
}

archive=tree/srv/archive/first
common 1.0
mkdir package/usr/share/probe/place; echo old >package/usr/share/probe/place/file
echo given >package/usr/share/probe/given; echo gone >package/usr/share/probe/gone
echo old >package/etc/probe/old.conf; echo moved >package/etc/probe/moved.conf
printf '/etc/probe/%s\n' old.conf moved.conf >>package/DEBIAN/conffiles
package probe 1.0 </dev/null

archive=tree/srv/archive/second
common 2.0
mkdir package/usr/share/probe/elsewhere; echo new >package/usr/share/probe/elsewhere/file
ln -s elsewhere package/usr/share/probe/place
echo moved >package/etc/probe/here.conf; echo /etc/probe/here.conf >>package/DEBIAN/conffiles
echo 'Depends: probe-data' | package probe 2.0
mkdir -p package/usr/share/probe package/usr/share/probe-data
echo 'given over' >package/usr/share/probe/given; echo data >package/usr/share/probe-data/data
printf 'Breaks: probe (<< 2.0)\nReplaces: probe (<< 2.0)\n' | package probe-data 2.0
"""

_INDEX = r"""
for archive in tree/srv/archive/*; do
  (cd $archive
  for file in *.deb; do
    dpkg-deb -f "$file"
    printf 'Filename: ./%s\nSize: %s\n' "$file" "$(stat -c %s "$file")"
    printf 'SHA256: %s\n\n' "$(sha256sum "$file" | cut -d' ' -f1)"
  done >Packages)
done
"""

RECIPE = Recipe(
    "debian-apt",
    r"""
export PATH="$PATH:/usr/sbin:/sbin"
. /etc/os-release
mmdebstrap --mode=root --variant=minbase --quiet --skip=cleanup/reproducible \
  --customize-hook='APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq -y --download-only install PACKAGES' \
  --customize-hook='mkdir -p "$1/srv/archive/first" "$1/srv/archive/second"' \
  --customize-hook='mv "$1"/var/cache/apt/archives/*.deb "$1/srv/archive/first/"' \
  "$VERSION_CODENAME" tree
rm -rf tree/var/cache/apt/* tree/var/lib/apt/lists/* tree/dev/*
rm -f tree/etc/apt/sources.list tree/etc/apt/sources.list.d/* tree/etc/apt/apt.conf.d/*mmdebstrap*
cp "$(command -v busybox)" tree/usr/local/bin/busybox
""".replace("PACKAGES", " ".join(DEBIAN_PACKAGES))
    + _PROBE
    + _INDEX
    + r"""
tar --sort=name --numeric-owner --xattrs --xattrs-include='*' -C tree -cf layer.tar .
umoci init --layout layout
umoci new --image layout:latest
umoci raw add-layer --image layout:latest layer.tar
umoci config --image layout:latest --config.cmd bash --config.env LANG=C.UTF-8 \
  --config.env DEBIAN_FRONTEND=noninteractive \
  --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umoci gc --layout layout
""",
)
