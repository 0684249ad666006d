#!/usr/bin/env bash
# Lets schemathesis, a fuzzer that reads OpenAPI, ask a service that wants
# tokens: no answer may be 5xx, nor one that the document does not describe.
#
#   EXAMPLES=2500 test/schemathesis/run.sh
#
# EXAMPLES is how many requests each operation is asked with in each phase, 200
# by default, which takes some 40 s; 2500 take six to ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
examples=${EXAMPLES:-200}
work=$(mktemp -d)
trap 'kill "$service" 2>/dev/null || true; rm -rf "$work"' EXIT

command -v st >/dev/null || { echo 'st is not installed: python3 -m venv VENV && VENV/bin/pip install schemathesis==4.32.5, then put VENV/bin on PATH' >&2; exit 1; }
CGO_ENABLED=0 go build -o "$work/housing" ./cmd/housing
JWT_SECRET=$(head -c 32 /dev/urandom | base64)
export JWT_SECRET
# Limits off: a 429 would hide what lies behind it.
RATE_LIMIT=off AUTH_FAILURE_LIMIT=off LISTEN=127.0.0.1:0 "$work/housing" serve --log-format json 2> "$work/log" &
service=$!
for _ in $(seq 100); do
  address=$(grep -o '"address":"[^"]*"' "$work/log" | cut -d'"' -f4 || true)
  [ -n "$address" ] && break
  sleep 0.1
done
[ -n "$address" ] || { cat "$work/log" >&2; exit 1; }

token=$("$work/housing" token --sub schemathesis --scope "predict outcomes models:read models:write" --ttl 2h)
st run "http://$address/openapi.json" --header "Authorization: Bearer $token" --max-examples "$examples" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance,negative_data_rejection,ignored_auth,unsupported_method
if grep -e http_panic -e '"level":"ERROR"' "$work/log"; then
  echo 'the service logged errors' >&2
  exit 1
fi
