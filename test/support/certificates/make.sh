#!/usr/bin/env bash
# Makes the certificates that the tests of TLS use, anew, with OpenSSL. They are valid for a century, or were for a year, so
# that nobody has to. Their keys are public: no program must trust them.
set -eu
cd "$(dirname "$0")"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

readonly BEGINNING=20200101000000Z
readonly END=21200101000000Z

main() {
  new_key authority
  openssl req -new -key authority.key -subj "/CN=Authority of tests" -out "$scratch/authority.csr"
  sign authority "$BEGINNING" "$END" "basicConstraints=critical,CA:TRUE" "keyUsage=critical,keyCertSign,cRLSign" self
  issue server "$BEGINNING" "$END" "DNS:localhost,IP:127.0.0.1,IP:::1"
  issue expired 20000101000000Z 20010101000000Z "DNS:localhost,IP:127.0.0.1"
  issue other "$BEGINNING" "$END" "DNS:other.example,DNS:*.wild.example"
  issue client "$BEGINNING" "$END" "DNS:client.example"
  new_key stranger
  openssl req -new -key stranger.key -subj "/CN=localhost" -out "$scratch/stranger.csr"
  sign stranger "$BEGINNING" "$END" "basicConstraints=CA:FALSE" "subjectAltName=DNS:localhost,IP:127.0.0.1" self
  rm authority.key
}

new_key() {
  openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"
}

# issue NAME FROM UNTIL SUBJECT_ALTERNATIVE_NAMES: a key, and a certificate of the authority.
issue() {
  new_key "$1"
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$scratch/$1.csr"
  sign "$1" "$2" "$3" "basicConstraints=CA:FALSE" "subjectAltName=$4" authority
}

# sign NAME FROM UNTIL EXTENSION EXTENSION BY: `openssl ca` is what lets one choose when the validity begins.
sign() {
  local name="$1" by="$6"
  : >"$scratch/index.txt"
  cat >"$scratch/ca.cnf" <<CONFIG
[ca]
default_ca = authority
[authority]
database = $scratch/index.txt
new_certs_dir = $scratch
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[extensions]
$4
$5
CONFIG
  local signer=(-cert authority.pem -keyfile authority.key)
  [ "$by" != self ] || signer=(-selfsign -keyfile "$name.key")
  openssl ca -batch -notext -config "$scratch/ca.cnf" -extensions extensions -startdate "$2" -enddate "$3" \
    "${signer[@]}" -in "$scratch/$name.csr" -out "$name.pem" 2>"$scratch/log" || { cat "$scratch/log" >&2; exit 1; }
}

main
