#!/bin/sh
# Makes what compose.yaml calls secrets, in the folder secrets beside this file:
# passwords, keys, and a certificate for localhost that signs itself. What is
# there already stays, so that your own certificate can lie there before.
#
# The files are readable by all, as the users in the containers have to read
# them, and the folder by you alone, so that on this machine nobody else can.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

# secret NAME: writes what it reads to a file, if there is none.
secret() {
  if [ -e "$1" ]; then cat >/dev/null; return; fi
  cat >"$1.new"
  chmod 0444 "$1.new"
  mv "$1.new" "$1"
}
random() { openssl rand -hex 32; }

random | secret postgres_password
random | secret database_password
random | secret redis_password
random | secret jwt_secret
random | secret user_id_key
random | secret grafana_password
printf 'postgres://housing:%s@postgres:5432/housing\n' "$(cat database_password)" | secret database_url
printf 'redis://housing:%s@redis:6379/0\n' "$(cat redis_password)" | secret redis_url
# As docs/redis.md says; who has no password can ask whether Redis is there.
{
  printf 'user housing on >%s ~housing:* resetchannels -@all +get +getrange +set +time +eval +evalsha +ping\n' "$(cat redis_password)"
  printf 'user default on nopass resetkeys resetchannels -@all +ping\n'
} | secret redis_acl
if [ ! -e tls_certificate ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout tls_key.new -out tls_certificate.new 2>/dev/null
  chmod 0444 tls_key.new tls_certificate.new
  mv tls_key.new tls_key
  mv tls_certificate.new tls_certificate
fi
echo "The secrets are in $(pwd)."
