#!/bin/sh
# Brings a fresh Debian 12+ or Ubuntu 22.04+ machine to a running state:  sh deploy/setup.sh
#
#   1. system packages: Vulkan loader, ffmpeg, espeak-ng, socat, the tools of microphones, speakers and cameras
#      (pulseaudio-utils, alsa-utils, v4l-utils) and, where there is no real GPU, a software Vulkan driver
#   2. the npm packages of package-lock.json
#   3. microturn doctor, which says what works
#
# With --with-tests also what only tests need: mosquitto, the MQTT broker, whose service is not
# left running, a PulseAudio daemon and GStreamer, and on Debian chromium (Ubuntu's is a snap, which does not run in a container).
#
# Safe to run again: what is there already is left alone. Without root it prints the commands for the administrator
# and goes on with the npm packages; the CPU backend needs no system package. Only Node.js and npm are essential:
# everything else that cannot be had is a warning.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
warnings=0

say() { printf 'setup: %s\n' "$*"; }
warn() {
  warnings=$((warnings + 1))
  printf 'setup: warning: %s\n' "$*" >&2
}
tests=no
case "${1:-}" in
  "") ;;
  --with-tests) tests=yes ;;
  *)
    echo "setup: $1: the only option is --with-tests" >&2
    exit 64
    ;;
esac
have() { command -v "$1" >/dev/null 2>&1; }
installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

# The system's name; both are empty where there is no os-release.
os_id=$( (. /etc/os-release && echo "${ID:-}") 2>/dev/null || true)
os_codename=$( (. /etc/os-release && echo "${VERSION_CODENAME:-}") 2>/dev/null || true)
backports_list=/etc/apt/sources.list.d/microturn-backports.list

# nvidia (also Jetson), mesa (AMD, Intel, ...) or none
gpu_kind() {
  if [ -e /dev/nvidiactl ] || [ -e /dev/nvhost-gpu ] || [ -e /dev/nvgpu ]; then
    echo nvidia
  elif [ -e /dev/dri/renderD128 ]; then
    echo mesa
  else
    echo none
  fi
}
gpu=$(gpu_kind)

# Debian 12's own Mesa is 22.3, and Dawn refuses its software driver; backports has 25.
needs_backports() { [ "$os_id" = debian ] && [ "$os_codename" = bookworm ] && [ "$gpu" != nvidia ]; }

mesa_is_new_enough() {
  version=$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null) || return 1
  dpkg --compare-versions "$version" ge 23
}

# The packages of this machine that are not installed yet.
missing_packages() {
  for package in ca-certificates libvulkan1 ffmpeg espeak-ng socat pulseaudio-utils alsa-utils v4l-utils; do
    installed "$package" || echo "$package"
  done
  if [ "$gpu" != nvidia ] && ! mesa_is_new_enough; then echo mesa-vulkan-drivers; fi
  if [ "$tests" = yes ]; then
    for package in mosquitto pulseaudio libasound2-plugins pipewire pipewire-bin wireplumber dbus gstreamer1.0-tools \
      gstreamer1.0-plugins-base; do
      installed "$package" || echo "$package"
    done
  fi
  if [ "$tests" = yes ] && [ "$os_id" = debian ]; then installed chromium || echo chromium; fi
}

backports_known() {
  grep -rhsE '^[^#]*bookworm-backports' /etc/apt/sources.list /etc/apt/sources.list.d >/dev/null 2>&1
}

# The mirror that this machine takes Debian from already, or Debian's own: backports come from the same place.
debian_mirror() {
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    sed -nE 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p; s/^deb[[:space:]]+(\[[^]]*\][[:space:]]*)?([^[:space:]]+).*/\2/p' |
    grep -E '/debian/?$' | head -n 1)
  echo "${mirror:-http://deb.debian.org/debian}"
}

quiet_apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >/dev/null; }

install_package() {
  package=$1
  if [ "$package" = mesa-vulkan-drivers ] && needs_backports; then
    quiet_apt install -y --no-install-recommends -t bookworm-backports "$package"
  else
    quiet_apt install -y --no-install-recommends "$package"
  fi
}

# One package at a time, so that one that cannot be had does not keep the others away.
install_system_packages() {
  if needs_backports && ! mesa_is_new_enough && ! backports_known; then
    say "adding bookworm-backports to the package sources ($backports_list): Debian 12's own Vulkan driver is too old"
    echo "deb $(debian_mirror) bookworm-backports main" > "$backports_list"
  fi
  say "apt-get update"
  quiet_apt update || warn "apt-get update failed; going on with the package lists that are there"
  for package in $1; do
    say "installing $package"
    install_package "$package" || warn "$package could not be installed"
    # Tests start brokers of their own; Debian's package starts one for good.
    if [ "$package" = mosquitto ] && have systemctl; then systemctl disable --now mosquitto >/dev/null 2>&1 || true; fi
  done
}

print_request() {
  say "not root, so no system package is installed. Ask the administrator to run:"
  if needs_backports && ! mesa_is_new_enough && ! backports_known; then
    echo "    echo 'deb $(debian_mirror) bookworm-backports main' > $backports_list"
  fi
  echo "    apt-get update"
  others=$(echo "$1" | grep -vx mesa-vulkan-drivers | tr '\n' ' ' || true)
  [ -z "$others" ] || echo "    apt-get install -y --no-install-recommends $others"
  case "$1" in
    *mesa-vulkan-drivers*)
      release=""
      if needs_backports; then release="-t bookworm-backports "; fi
      echo "    apt-get install -y --no-install-recommends ${release}mesa-vulkan-drivers"
      ;;
  esac
  say "going on without them: the CPU backend needs none; camera and microphone files need ffmpeg, speech needs espeak-ng, microturn board needs socat"
}

system_packages() {
  if ! have apt-get || ! have dpkg-query; then
    warn "this is not Debian or Ubuntu: install the Vulkan loader, ffmpeg, espeak-ng and socat by hand"
    return
  fi
  case "$gpu" in
    nvidia) say "NVIDIA GPU found: its own driver is used" ;;
    mesa) say "GPU found (/dev/dri/renderD128): Mesa's Vulkan driver is used" ;;
    none) say "no GPU found: Mesa's software Vulkan driver is for tests; sessions run on the CPU backend" ;;
  esac
  missing=$(missing_packages)
  if [ -z "$missing" ]; then
    say "system packages are all there"
  elif [ "$(id -u)" -eq 0 ]; then
    install_system_packages "$missing"
  else
    print_request "$missing"
  fi
}

node_is_new_enough() {
  have node && node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 11) ? 0 : 1)'
}

node_and_npm() {
  if node_is_new_enough && have npm; then
    say "Node.js $(node --version), npm $(npm --version 2>/dev/null)"
    return
  fi
  candidate=$(apt-cache policy nodejs 2>/dev/null | awk '/Candidate:/ {print $2}')
  if [ "$(id -u)" -eq 0 ] && have dpkg && [ -n "$candidate" ] && dpkg --compare-versions "$candidate" ge 20.11; then
    say "installing nodejs and npm $candidate"
    install_package nodejs && { have npm || install_package npm; }
  fi
  if ! node_is_new_enough || ! have npm; then
    echo "setup: Node.js 20.11 or newer with npm is needed and was not found." >&2
    echo "setup: Install it from https://nodejs.org (or your distribution, where it is new enough) and run this again." >&2
    exit 1
  fi
}

npm_packages() {
  stamp=node_modules/.microturn-lock
  if [ -f "$stamp" ] && cmp -s package-lock.json "$stamp"; then
    say "npm packages are up to date"
    return
  fi
  say "npm ci (about 500 MB in node_modules)"
  # Older npm knows no allowScripts: without this, onnxruntime-node fetches CUDA libraries that are never used here.
  ONNXRUNTIME_NODE_INSTALL=skip npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
}

system_packages
node_and_npm
npm_packages
say "what this machine can do (microturn doctor):"
node_modules/.bin/tsx src/cli/main.ts doctor || warn "doctor found faults; see above"
if [ "$warnings" -eq 0 ]; then say "done"; else say "done, with $warnings warning(s)"; fi
