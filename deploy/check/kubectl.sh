#!/usr/bin/env bash
# Prints a kubectl whose kustomize knows the fields that deploy/kubernetes uses (1.27 and later). Where the machine has
# none, as on Debian 12, whose own is 1.20, it is taken out of Debian 13's package into .deps; nothing is installed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly unpacked="$root/.deps/kubectl/usr/bin/kubectl"
readonly suite=trixie keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
  printf 'deploy/check/kubectl.sh: %s\n' "$*" >&2
  exit 1
}

is_new_enough() {
  local version
  version=$("$1" version --client 2>/dev/null) || return 1
  [[ $version =~ Client\ Version:\ v1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 27))
}

# Prints where this machine gets its Debian packages from.
debian_archive() {
  # shellcheck disable=SC2016 # apt expands these
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F'|' '$1 == "Debian" && $2 == "Debian" && $3 == "main" && !found { print $4; found = 1 }'
}

# apt checks the archive's signature and the file's hash; its state stays in a folder that is removed.
fetch() {
  local archive options='' work
  command -v apt-get >/dev/null || die "needs kubectl 1.27 or later"
  archive=$(debian_archive)
  # apt knows its sources' labels only from the package lists, and a fresh container has none.
  if [[ -z $archive ]] && ((EUID == 0)); then
    apt-get -q update >&2 || die "could not read this machine's package lists"
    archive=$(debian_archive)
  fi
  [[ -n $archive ]] || die "needs kubectl 1.27 or later; no Debian package source on this machine to take it from"
  [[ -r $keyring ]] && options="[signed-by=$keyring] "
  mkdir -p "$root/.deps"
  work=$(mktemp -d "$root/.deps/work.XXXXXX")
  # shellcheck disable=SC2064 # the folder is known now, and the variable is gone by then
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work"/{lists/partial,cache/archives/partial,sources.list.d,package}
  printf 'deb %s%s %s main\n' "$options" "$archive" "$suite" >"$work/sources.list"
  # The sandbox user could not write below a private folder. No installed package may decide what is downloaded.
  local apt=(apt-get -q
    -o "Dir::State::lists=$work/lists" -o "Dir::State::status=/dev/null" -o "Dir::Cache=$work/cache"
    -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/sources.list.d"
    -o "APT::Sandbox::User=$(id -un)")
  "${apt[@]}" update >&2 || die "could not read the packages of Debian $suite"
  (cd "$work" && "${apt[@]}" download kubectl >&2) || die "could not download kubectl of Debian $suite"
  dpkg-deb -x "$work"/kubectl_*.deb "$work/package"
  rm -rf "$root/.deps/kubectl"
  mv "$work/package" "$root/.deps/kubectl"
}

if candidate=$(command -v kubectl) && is_new_enough "$candidate"; then
  printf '%s\n' "$candidate"
else
  is_new_enough "$unpacked" || fetch
  is_new_enough "$unpacked" || die "$unpacked does not run here"
  printf '%s\n' "$unpacked"
fi
