#!/bin/sh
# Keys and passwords of a broker for devices and workers.
#
#   credentials.sh init HOSTNAME [DIR]       an authority, and the broker's certificate for HOSTNAME (also localhost)
#   credentials.sh password NAME [DIR]       a new password for a device or for `worker`, printed once
#   credentials.sh certificate NAME [DIR]    a client certificate: NAME.pem and NAME.key
#   credentials.sh remove NAME [DIR]         takes the password away; mosquitto reads it on SIGHUP
#
# DIR is /etc/microturn/broker. The authority's key, ca.key, is best kept elsewhere once all is made.
set -eu
umask 077

fail() {
  echo "credentials: $*" >&2
  exit 64
}

[ $# -ge 2 ] || fail "expected init, password, certificate or remove, and a name"
action=$1
name=$2
dir=${3:-/etc/microturn/broker}
mkdir -p "$dir"

# An identifier of the protocol stands in topics.
identifier() {
  case "$name" in
    *[!A-Za-z0-9_-]*) fail "$name: only letters, digits, - and _" ;;
  esac
  [ ${#name} -le 64 ] || fail "$name: at most 64 characters"
}

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# sign SUBJECT KEY CERTIFICATE EXTENSIONS: by the authority, for ten years
sign() {
  extensions=$(mktemp)
  printf '%s\n' "$4" > "$extensions"
  openssl req -new -key "$2" -subj "/CN=$1" |
    openssl x509 -req -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 3650 -extfile "$extensions" \
      -out "$3" 2>/dev/null
  rm -f "$extensions"
  chmod 644 "$3"
}

case "$action" in
  init)
    [ ! -e "$dir/ca.key" ] || fail "$dir holds an authority already; a new one would shut every device out"
    new_key "$dir/ca.key"
    openssl req -x509 -new -key "$dir/ca.key" -subj "/CN=microturn authority" -days 3650 \
      -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -out "$dir/ca.pem"
    new_key "$dir/server.key"
    sign "$name" "$dir/server.key" "$dir/server.pem" "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth"
    [ -e "$dir/passwords" ] || : > "$dir/passwords"
    chmod 644 "$dir/ca.pem"
    # mosquitto reads these after it has become its own user.
    if [ "$(id -u)" -eq 0 ] && id mosquitto >/dev/null 2>&1; then
      chmod 755 "$dir"
      chown mosquitto: "$dir/server.key" "$dir/passwords"
    fi
    ;;
  password)
    identifier
    password=$(openssl rand -hex 24)
    mosquitto_passwd -b "$dir/passwords" "$name" "$password"
    echo "$password"
    ;;
  certificate)
    identifier
    new_key "$dir/$name.key"
    sign "$name" "$dir/$name.key" "$dir/$name.pem" "extendedKeyUsage=clientAuth"
    ;;
  remove)
    identifier
    mosquitto_passwd -D "$dir/passwords" "$name"
    ;;
  *) fail "$action: expected init, password, certificate or remove" ;;
esac
