# The set-up that ./check, ./demo and benchmarks/run share; to be sourced by bash, with $here set to the checkout.
#
# As root (a container, a CI image) it installs what is missing from the distribution, makes an unprivileged user with
# subordinate ids, opens /dev/fuse and /dev/net/tun as distributions' udev does, and goes on as that user. Otherwise it
# takes what is there, has sudo do the same where that asks nothing, and prints the one line an administrator would run.
# Everything may be done again at will: each step looks first.
# shellcheck shell=bash

PRODUCT_PACKAGES="python3 python3-venv uidmap slirp4netns libnftables1 fuse3 libseccomp2 ca-certificates"
TEST_PACKAGES="passt git openssh-client openssh-server openssl busybox-static docker-registry skopeo umoci buildah netavark mmdebstrap curl bind9-dnsutils strace zstd nftables iproute2 procps gcc libc6-dev fuse-overlayfs rsync zsh fish pkg-config libfuse3-dev python3-dev make acl docker-compose"
# Docker's client, which Debian has in a package of its own from version 13 on
TEST_PACKAGES="$TEST_PACKAGES $(. /etc/os-release 2>/dev/null; [ "${ID:-}" = debian ] && [ "${VERSION_ID:-0}" -ge 13 ] && echo docker-cli docker-buildx || echo docker.io)"
BENCHMARK_PACKAGES="podman aardvark-dns crun catatonit bubblewrap iperf3 wrk nginx-light"
# some builds of Node bring npm with them, and conflict with Debian's
LONG_PACKAGES="postgresql $(command -v npm >/dev/null || echo npm)"
# what the tests take from their environment (docs/testing.md): handed on to the user who runs them
TEST_VARIABLES="SANDBOX_COMMAND SANDBOX_KILL_SEED SANDBOX_OVERLAY_COMMAND SANDBOX_TEST_CACHE SANDBOX_VECTORS"
SBX_USER=${SANDBOX_USER:-sandbox-dev}
# the script that sources this, from the checkout: found now, before anybody changes directory
script=$(realpath --relative-to="$here" "${BASH_SOURCE[-1]}")

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# ---- what is missing -------------------------------------------------------------------------------------------------

missing_packages() { # those of "$@" that are not installed
  command -v dpkg-query >/dev/null || return 0
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

closed_devices() { # device files that are there, but not for us
  local device
  for device in /dev/fuse /dev/net/tun; do
    [ ! -e "$device" ] || { [ -r "$device" ] && [ -w "$device" ]; } || echo "$device"
  done
}

device_commands() { # what an administrator would type for device files that are missing or closed, a command a line
  local device number closed
  for device in /dev/fuse:229 /dev/net/tun:200; do
    number=${device#*:} device=${device%:*}
    [ -d "${device%/*}" ] || echo "mkdir -p ${device%/*}"
    [ -e "$device" ] || echo "mknod -m 666 $device c 10 $number"
  done
  closed=$(closed_devices | tr '\n' ' ')
  [ -z "$closed" ] || echo "chmod 666 ${closed% }"
}

has_subordinate_ids() { # $1: user
  local file
  for file in subuid subgid; do
    grep -qs "^$1:" "/etc/$file" || grep -qs "^$(id -u "$1"):" "/etc/$file" ||
      getsubids $([ $file = subgid ] && echo -g) "$1" >/dev/null 2>&1 || return 1
  done
}

free_range() { # first-last of 65536 subordinate ids that nobody has
  local first
  first=$(cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: '$2 + $3 > top { top = $2 + $3 } END { print top < 100000 ? 100000 : top }')
  echo "$first-$((first + 65535))"
}

# ---- as root ---------------------------------------------------------------------------------------------------------

install_packages() { # as root; "$@" are not installed
  local package wanted=() unknown=() policy=/usr/sbin/policy-rc.d own_policy= log status=0
  [ $# -gt 0 ] || return 0
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if ! apt-get -qq update >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    say "apt-get update failed; going on with the lists that are there"
  fi
  for package in "$@"; do
    if apt-cache show "$package" >/dev/null 2>&1; then wanted+=("$package"); else unknown+=("$package"); fi
  done
  [ ${#unknown[@]} = 0 ] || say "not in this distribution: ${unknown[*]}"
  # docker-registry would start a service; 101 is "do not", policy-rc.d(8)
  if [ ! -e $policy ]; then own_policy=1; printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; fi
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${wanted[@]}" >"$log" 2>&1 || status=$?
  [ -z "$own_policy" ] || rm -f $policy
  [ $status = 0 ] || tail -n 20 "$log" >&2
  rm -f "$log"
  return $status
}

open_devices() { # as root
  local device number
  for device in /dev/fuse:229 /dev/net/tun:200; do
    number=${device#*:} device=${device%:*}
    if [ ! -e "$device" ]; then
      mkdir -p "${device%/*}"
      mknod "$device" c 10 "$number" 2>/dev/null || { say "there is no $device, and it cannot be made here"; continue; }
    fi
    [ "$(stat -c %a "$device")" = 666 ] || chmod 666 "$device" || say "cannot give $device mode 0666"
  done
}

give_subordinate_ids() { # as root; $1: user
  local range
  if ! has_subordinate_ids "$1"; then
    range=$(free_range)
    usermod --add-subuids "$range" --add-subgids "$range" "$1"
  fi
}

make_user() { # as root: $SBX_USER, with a home and subordinate ids
  [ -z "${SUDO_USER:-}" ] || [ "$SUDO_USER" = root ] || [ -n "${SANDBOX_USER:-}" ] || SBX_USER=$SUDO_USER
  id "$SBX_USER" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$SBX_USER"
  give_subordinate_ids "$SBX_USER"
}

user_home() { getent passwd "$1" | cut -d: -f6; }

list_checkout() { # NUL-separated names of the checkout's files
  # the owner of the checkout may be another user, which git calls dubious
  if command -v git >/dev/null && git -C "$here" -c safe.directory='*' rev-parse >/dev/null 2>&1; then
    git -C "$here" -c safe.directory='*' ls-files -z --cached --others --exclude-standard
  else
    (cd "$here" && find . -name .git -prune -o -name __pycache__ -prune -o -type f -print0)
  fi
}

copy_checkout() { # $1: directory, replaced
  rm -rf "$1" && mkdir -p "$1"
  # a file that git knows may have been removed by hand
  list_checkout | (cd "$here" && while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
    tar --null --no-recursion --files-from=- -cf -) | tar -C "$1" --no-same-owner -xf -
}

become_user() { # as root: the same script, from a copy of the checkout, as $SBX_USER; does not return
  local home copy name keep=()
  home=$(user_home "$SBX_USER")
  copy=$home/.cache/sandbox-setup/checkout
  copy_checkout "$copy"
  if [ -z "${SANDBOX_VECTORS:-}" ] && [ -d "$here/../shared/vectors" ]; then
    SANDBOX_VECTORS=$(cd "$here/../shared/vectors" && pwd)
  fi
  if [ -n "${SANDBOX_VECTORS:-}" ] && ! as_user test -r "$SANDBOX_VECTORS/README.md"; then
    rm -rf "$home/.cache/sandbox-setup/vectors" && cp -r "$SANDBOX_VECTORS" "$home/.cache/sandbox-setup/vectors"
    SANDBOX_VECTORS=$home/.cache/sandbox-setup/vectors
  fi
  chown -R "$SBX_USER:" "$home/.cache/sandbox-setup"
  chown "$SBX_USER:" "$home/.cache"
  for name in $(compgen -e | grep -E "^(CI|TERM|LANG|NO_COLOR|SSL_CERT_FILE|PIP_.*|.*_proxy|.*_PROXY|SANDBOX_PYTHON|${TEST_VARIABLES// /|})\$"); do
    keep+=("$name=${!name}")
  done
  [ -z "${SANDBOX_VECTORS:-}" ] || keep+=("SANDBOX_VECTORS=$SANDBOX_VECTORS")
  cd "$home"
  exec setpriv --reuid "$SBX_USER" --regid "$(id -g "$SBX_USER")" --init-groups env -i HOME="$home" USER="$SBX_USER" \
    LOGNAME="$SBX_USER" SHELL=/bin/bash PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin \
    "${keep[@]}" SANDBOX_SETUP=done "$copy/$script" "$@"
}

as_user() { setpriv --reuid "$SBX_USER" --regid "$(id -g "$SBX_USER")" --init-groups "$@"; }

# ---- as anybody ------------------------------------------------------------------------------------------------------

setup_host() { # $1: packages; the rest: the script's own arguments. Afterwards we are an unprivileged user.
  local packages=$1 missing
  shift
  # shellcheck disable=SC2086
  missing=$(missing_packages $packages | tr '\n' ' ')
  if [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2086
    install_packages $missing || die "the distribution's packages could not be installed"
    open_devices
    make_user
    become_user "$@"
  fi
  [ "${SANDBOX_SETUP:-}" != done ] || return 0
  SBX_USER=$(id -un)
  local all
  all=$(administrators_line "${missing% }")
  [ -n "$all" ] || return 0
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    # shellcheck disable=SC2086
    set_up_by_sudo $missing
    # the user database's programs have written by now what is asked for
    all=$(administrators_line "$(missing_packages $packages | tr '\n' ' ' | sed 's/ $//')")
    [ -n "$all" ] || return 0
    say "sudo could not do all of it; this is left:"
  else
    say "something is missing here; an administrator would run:"
  fi
  say "    sudo sh -c '$all'"
  say "going on with what there is"
}

administrators_line() { # $1: packages that are missing. Nothing where nothing is
  local line=() command all
  [ -z "$1" ] || line+=("apt-get update && apt-get install -y $1")
  has_subordinate_ids "$SBX_USER" || line+=("usermod --add-subuids $(free_range) --add-subgids $(free_range) $SBX_USER")
  while read -r command; do line+=("$command"); done < <(device_commands)
  [ ${#line[@]} -gt 0 ] || return 0
  all=$(printf '%s && ' "${line[@]}")
  printf '%s\n' "${all% && }"
}

set_up_by_sudo() { # "$@": packages that are missing. What root does, as quietly
  local functions
  functions=$(declare -f say install_packages open_devices has_subordinate_ids free_range give_subordinate_ids)
  # shellcheck disable=SC2016  # for the shell that root has
  sudo -n bash -c "set -euo pipefail; $functions"'
    user=$1; shift
    install_packages "$@" || say "the packages could not all be installed"
    open_devices
    give_subordinate_ids "$user"
  ' bash "$SBX_USER" "$@" || true
}

find_python() { # a Python of 3.11 or later that can make virtual environments
  local name found=
  for name in ${SANDBOX_PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    found=$name
    if "$name" -c 'import ensurepip, venv' 2>/dev/null; then command -v "$name"; return; fi
  done
  if [ -n "$found" ]; then die "$found cannot make virtual environments: sudo apt-get install -y python3-venv"; fi
  die "this needs Python 3.11 or later: sudo apt-get install -y python3 python3-venv"
}

checksum() { sha256sum | cut -c1-12; }

make_venv() { # $1: directory; $2: checkout; $3: extras, "" or "[test,fuse]". Quick where nothing changed.
  local venv=$1 source=$2 extras=$3 python want have
  python=$(find_python) || exit 1
  want=$({ "$python" -VV; echo "$extras"; cat "$source/pyproject.toml"; } | checksum)
  have=$(cat "$venv/.dependencies" 2>/dev/null || true)
  if [ "$want" != "$have" ]; then
    say "making a virtual environment in $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/pip" install --quiet "setuptools>=77" "$source$extras"
    rm -f "$venv/.source"
    echo "$want" >"$venv/.dependencies"
  fi
  want=$(cd "$source" && find sandbox net storage pyproject.toml setup.py -type f ! -name '*.pyc' -exec sha256sum {} + | sort | checksum)
  if [ "$want" != "$(cat "$venv/.source" 2>/dev/null || true)" ]; then
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/pip" install --quiet --no-deps --no-build-isolation --force-reinstall "$source"
    rm -rf "$source/build" "$source"/*.egg-info
    echo "$want" >"$venv/.source"
  fi
}

make_launcher() { # $1: virtual environment; $2: path of the command to make
  local site
  site=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  # without `site` (-S) and the caller's PYTHON* (-I): a third of the interpreter's start is saved, and nothing that
  # lies about in the caller's environment or directory is imported
  rm -f "$2"
  cat >"$2" <<END
#!$1/bin/python3 -IS
import sys
sys.path.append("$site")
from sandbox.cli.main import entry
entry()
END
  chmod 755 "$2"
}

install_man_pages() { # $1: virtual environment; $2: a directory of manual pages
  mkdir -p "$2/man1"
  rm -f "$2"/man1/sandbox.1 "$2"/man1/sandbox-*.1
  cp "$1"/share/man/man1/sandbox*.1 "$2/man1/"
}
