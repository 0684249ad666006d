#!/usr/bin/env bash
# Moves traffic to another version of the model, blue-green: deploy-model.sh --help
set -euo pipefail

usage() {
  cat <<'U'
usage: deploy-model.sh VERSION [ENVIRONMENT]    deploy a version of the registry
       deploy-model.sh --rollback [ENVIRONMENT] go back to the version before
       deploy-model.sh --retire [ENVIRONMENT]   stop the pods of the version before
       deploy-model.sh --status [ENVIRONMENT]   say who has the traffic

Of the Deployments housing-api-blue and housing-api-green (deploy/kubernetes/
overlays/blue-green) one has the traffic, by the selector of the Service
housing-api. The other gets VERSION, is waited for, and is asked for its health
and for the prices of golden houses, pod by pod. Only then traffic moves, in one
change. Then its errors, latency and pods are watched; if they are bad, or this
is interrupted, traffic moves back. The version before keeps running for
--rollback. Whatever fails, who has the traffic is said last.

It may be run again at any time, also after it was killed; two at once are
refused. ENVIRONMENT is production (default: namespace housing) or another
(namespace housing-ENVIRONMENT).

Environment variables:
  NAMESPACE          namespace, in place of that of ENVIRONMENT
  GOLDEN             file of golden houses (deploy/kubernetes/golden.json)
  HOUSING_TOKEN      bearer token with the scope predict, where the service asks for one
  READY_SECONDS      how long the new pods may take to be ready (600)
  MAX_RESTARTS       how often the new pods together may be started again before (4)
  WATCH_SECONDS      how long the new version is watched with traffic (300)
  MAX_ERROR_PERCENT  requests for prices that may be answered 5xx (1)
  MAX_P95_MS         95th percentile of the time of requests for prices (500)
  MAX_VALUATIONS_MS  the same of POST /v1/valuations, which takes longer (5000)
  MAX_MEDIAN_CHANGE  how far golden prices may be from the present ones, as the
                     median of the ratios in percent (15)

Exit codes: 0 done, 1 failed (and traffic is where the last line says), 2 wrong use.
U
}

ACTION=deploy VERSION='' ENVIRONMENT=production
case ${1:-} in
  -h | --help) usage; exit 0 ;;
  --rollback | --retire | --status) ACTION=${1#--} ENVIRONMENT=${2:-production} ;;
  '' | -*) usage >&2; exit 2 ;;
  *) VERSION=$1 ENVIRONMENT=${2:-production} ;;
esac
[[ $# -le 2 ]] || { usage >&2; exit 2; }
[[ -z $VERSION || $VERSION =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$ ]] || { echo "deploy-model: '$VERSION' is no version of a model" >&2; exit 2; }
[[ $ENVIRONMENT =~ ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$ ]] || { echo "deploy-model: '$ENVIRONMENT' is no environment" >&2; exit 2; }

if [[ $ENVIRONMENT == production ]]; then NAMESPACE=${NAMESPACE:-housing}; else NAMESPACE=${NAMESPACE:-housing-$ENVIRONMENT}; fi
HERE=$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")
GOLDEN=${GOLDEN:-$HERE/../kubernetes/golden.json}
READY_SECONDS=${READY_SECONDS:-600} MAX_RESTARTS=${MAX_RESTARTS:-4} WATCH_SECONDS=${WATCH_SECONDS:-300}
MAX_ERROR_PERCENT=${MAX_ERROR_PERCENT:-1} MAX_P95_MS=${MAX_P95_MS:-500} MAX_VALUATIONS_MS=${MAX_VALUATIONS_MS:-5000} MAX_MEDIAN_CHANGE=${MAX_MEDIAN_CHANGE:-15}
LOCK=housing-api-deploy LOCK_SECONDS=60 ME=$(hostname)-$$-$RANDOM
TMP=$(mktemp -d)
HEARTBEAT='' # pid of what renews the lock
WAITING='' # pid of what waits for pods
MOVED_FROM='' # color that had the traffic, while this run is answerable for having moved it

say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*" >&2; }
kc() { kubectl --namespace "$NAMESPACE" --request-timeout=20s "$@"; }
# Tries again, as an API server may be away for a moment.
again() {
  local i
  for i in 1 2 3 4; do
    if "$@"; then return 0; fi
    sleep "$i"
  done
  "$@"
}

# ---------------------------------------------------------------- who has the traffic

service() { again kc get service housing-api -o "jsonpath={$1}"; }
active() { service .spec.selector.color; }
other() { if [[ $1 == blue ]]; then echo green; else echo blue; fi; }
deployment() { again kc get deployment "housing-api-$1" -o "jsonpath={$2}"; }
pinned() { deployment "$1" '.spec.template.spec.containers[?(@.name=="api")].env[?(@.name=="DEFAULT_MODEL_VERSION")].value'; }
replicas() { deployment "$1" .spec.replicas; }
version_of() { local v; v=$(pinned "$1"); echo "${v:-of the traffic plan}"; }

# Moves the Service from one color to another, only if it is still there, and
# notes in the same change what state that leaves behind.
move() { # FROM TO STATE
  patch_selector "$@" || [[ $(active) == "$2" ]] # an answer may be lost
}
patch_selector() { # FROM TO STATE
  kc patch service housing-api --type=json -p "[
    {\"op\": \"test\", \"path\": \"/spec/selector/color\", \"value\": \"$1\"},
    {\"op\": \"replace\", \"path\": \"/spec/selector/color\", \"value\": \"$2\"},
    {\"op\": \"add\", \"path\": \"/metadata/annotations/housing.deploy-state\", \"value\": \"$3\"},
    {\"op\": \"add\", \"path\": \"/metadata/annotations/housing.previous-color\", \"value\": \"$1\"}]" >/dev/null
}
note() { again kc annotate service housing-api --overwrite "$@" >/dev/null; }

# ---------------------------------------------------------------- one at a time

lease() { # RESOURCEVERSION ('' to create)
  cat <<L
{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
 "metadata": {"name": "$LOCK", "resourceVersion": "$1"},
 "spec": {"holderIdentity": "$ME", "leaseDurationSeconds": $LOCK_SECONDS, "renewTime": "$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)"}}
L
}

take_lock() {
  local now renewed holder version age
  if lease '' | kc create -f - >/dev/null 2>"$TMP/lock"; then return 0; fi
  grep -q 'already exists' "$TMP/lock" || { cat "$TMP/lock" >&2; return 1; }
  IFS=' ' read -r version holder renewed < <(kc get lease "$LOCK" -o 'jsonpath={.metadata.resourceVersion} {.spec.holderIdentity} {.spec.renewTime}' && echo)
  now=$(date -u +%s)
  age=$((now - $(date -u -d "$renewed" +%s)))
  if ((age < LOCK_SECONDS)); then
    say "another deployment is under way, by $holder (seen $age s ago)"
    return 1
  fi
  say "a deployment by $holder was cut off $age s ago: taking over"
  lease "$version" | kc replace -f - >/dev/null # fails if another was quicker
}

keep_lock() {
  local version
  while sleep $((LOCK_SECONDS / 4)); do
    kill -0 $$ 2>/dev/null || exit 0 # the script itself was killed: the lease must expire
    version=$(kc get lease "$LOCK" -o 'jsonpath={.spec.holderIdentity} {.metadata.resourceVersion}' 2>/dev/null) || continue
    [[ $version == "$ME "* ]] || exit 0
    lease "${version#* }" | kc replace -f - >/dev/null 2>&1 || true
  done
}

drop_lock() {
  [[ -n $HEARTBEAT ]] || return 0
  kill "$HEARTBEAT" 2>/dev/null || true
  wait "$HEARTBEAT" 2>/dev/null || true
  kc delete lease "$LOCK" --ignore-not-found >/dev/null 2>&1 || say "could not delete the lease $LOCK: it is void in $LOCK_SECONDS s"
}

# ---------------------------------------------------------------- asking a pod

# Names of the running pods of a color.
pods() {
  local list
  list=$(again kc get pods -l "app.kubernetes.io/name=housing-api,color=$1" --field-selector status.phase=Running -o json) || return 1
  jq -r '.items[] | select(.metadata.deletionTimestamp == null) | .metadata.name' <<<"$list"
}

# Asks a pod by a port-forward, which neither a Service nor a NetworkPolicy
# stands in the way of. Prints the body; fails unless the answer is 200.
ask() { # POD PORT PATH [BODYFILE]
  local pod=$1 port=$2 path=$3 body=${4:-} out forward at='' i args=(-sS --max-time 15 --fail-with-body) failed=0
  out=$(mktemp "$TMP/forward.XXXX")
  kubectl --namespace "$NAMESPACE" port-forward --address 127.0.0.1 "pod/$pod" ":$port" >"$out" 2>&1 &
  forward=$!
  for ((i = 0; i < 150; i++)); do
    at=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$out" | head -n 1)
    [[ -z $at ]] || break
    kill -0 "$forward" 2>/dev/null || break
    sleep 0.1
  done
  if [[ -z $at ]]; then
    say "$pod: no way to it: $(head -n 1 "$out")"
    failed=1
  else
    [[ -z $body ]] || args+=(-H 'Content-Type: application/json' --data-binary "@$body")
    [[ -z ${HOUSING_TOKEN:-} ]] || { printf 'header = "Authorization: Bearer %s"\n' "$HOUSING_TOKEN" >"$out.token"; args+=(-K "$out.token"); }
    curl "${args[@]}" "http://127.0.0.1:$at$path" || failed=1
  fi
  kill "$forward" 2>/dev/null || true
  wait "$forward" 2>/dev/null || true
  rm -f "$out" "$out.token"
  return $failed
}

# ---------------------------------------------------------------- steps

# Waits for the pods of a color; in the background, so that a signal is heard.
# Pods that start again and again, as with a version that the registry does not
# have, are not waited for to the end.
ready() { # COLOR
  local first restarts
  first=$(again restarts_of "$1") || return 1
  kubectl --namespace "$NAMESPACE" rollout status "deployment/housing-api-$1" --timeout="${READY_SECONDS}s" >&2 &
  WAITING=$!
  while kill -0 "$WAITING" 2>/dev/null; do
    sleep 2 &
    wait $!
    restarts=$(restarts_of "$1" 2>/dev/null) || continue
    if ((restarts - first >= MAX_RESTARTS)); then
      say "$1: its pods were started again $((restarts - first)) times"
      kill "$WAITING" 2>/dev/null || true
      break
    fi
  done
  wait "$WAITING"
}

prepare() { # COLOR REPLICAS
  local color=$1 count=$2
  say "$color: version $VERSION, $count pods"
  again kc set env "deployment/housing-api-$color" --containers=api "DEFAULT_MODEL_VERSION=$VERSION" >/dev/null
  again kc scale "deployment/housing-api-$color" --replicas="$count" >/dev/null
  if ! ready "$color"; then
    say "$color did not become ready; its pods and their last words:"
    kc get pods -l "app.kubernetes.io/name=housing-api,color=$color" >&2 || true
    kc logs -l "app.kubernetes.io/name=housing-api,color=$color" --tail=3 --prefix >&2 || true
    return 1
  fi
}

# Asks the color that has the traffic for the present prices of golden houses.
# Fails only where it does not let this script ask, as the other will not either.
present() { # COLOR
  local pod
  jq '{records: [.[].house]}' "$GOLDEN" >"$TMP/request"
  pod=$(pods "$1" | head -n 1)
  if [[ -n $pod ]] && ask "$pod" 8000 /v1/predict "$TMP/request" >"$TMP/present"; then return 0; fi
  if [[ -n $pod ]] && jq -e '.status == 401 or .status == 403' "$TMP/present" >/dev/null 2>&1; then
    say "HOUSING_TOKEN is not accepted: $(jq -r .detail "$TMP/present")"
    return 1
  fi
  rm -f "$TMP/present"
  say "$1 does not price golden houses at present: there is nothing to compare with"
}

# Every pod is healthy, has the version, and prices golden houses rightly.
check() { # COLOR
  local color=$1 pod found=0 health
  while read -r pod; do
    found=$((found + 1))
    health=$(ask "$pod" 8000 /health) || { say "$pod is not healthy: $health"; return 1; }
    jq -e --arg v "$VERSION" '.model_version == $v' <<<"$health" >/dev/null || { say "$pod serves $(jq -r .model_version <<<"$health"), not $VERSION"; return 1; }
    ask "$pod" 8000 /v1/predict "$TMP/request" >"$TMP/answer" || { say "$pod does not price golden houses: $(head -c 300 "$TMP/answer")"; return 1; }
    golden "$pod" || return 1
  done < <(pods "$color")
  [[ $found -gt 0 ]] || { say "$color has no running pod"; return 1; }
  say "$color: $found pods are healthy, have $VERSION and price $(jq length "$GOLDEN") golden houses rightly"
}

# The prices of a pod are within their bounds, and as a whole near the present ones.
golden() { # POD
  local wrong
  wrong=$(jq -r --slurpfile answer "$TMP/answer" 'if ($answer[0].predictions | length) != length then "the number of prices"
    else [.[] as $g | $g] | to_entries[] | .key as $i | .value as $g | $answer[0].predictions[$i] as $p
    | select($p == null or $p < $g.low or $p > $g.high) | "\($g.name): \($p), want \($g.low) to \($g.high)" end' "$GOLDEN")
  if [[ -n $wrong ]]; then
    say "$1 prices golden houses wrongly: $(tr '\n' ';' <<<"$wrong")"
    return 1
  fi
  [[ -s $TMP/present ]] || return 0
  jq -ne --slurpfile a "$TMP/answer" --slurpfile b "$TMP/present" --argjson most "$MAX_MEDIAN_CHANGE" \
    '[$a[0].predictions, $b[0].predictions] | transpose | map(.[0] / .[1] - 1 | fabs * 100) | sort | .[length / 2 | floor] <= $most' >/dev/null ||
    { say "$1: the prices of golden houses are more than $MAX_MEDIAN_CHANGE % from the present ones, in the median"; return 1; }
}

# Sums what pods have answered: requests for prices, those answered 5xx, and
# the buckets of their times, of valuations apart.
counts() { # COLOR FILE
  local pod asked='method="POST",route="(/|/invocations|/v1/(predict|predict-minimal|valuations)|/v2/.+/infer)"'
  : >"$2.part"
  while read -r pod; do
    ask "$pod" 9090 /metrics >"$TMP/metrics" || return 1
    grep -E "^http_request(s_total|_duration_seconds_bucket)\\{$asked" "$TMP/metrics" >>"$2.part" || true
  done < <(pods "$1")
  awk '{ value = $NF; of = ($0 ~ /route="\/v1\/valuations"/ ? "valuations" : "prices") }
    /^http_requests_total/ { all += value; if ($0 ~ /status="5/) bad += value }
    /_bucket/ { match($0, /le="[^"]*"/); bucket[of " " substr($0, RSTART + 4, RLENGTH - 5)] += value }
    END { printf "all %d\nbad %d\n", all, bad; for (b in bucket) printf "le %s %d\n", b, bucket[b] }' "$2.part" >"$2"
}

# Says what happened between two counts: requests and percent bad; then how many
# were for prices alone and their p95 in ms, and the same of valuations.
between() { # BEFORE AFTER
  awk '
    FNR == NR { if ($1 == "le") before[$2 " " $3] = $4; else first[$1] = $2; next }
    $1 == "le" { n++; of[n] = $2; le[n] = $3; count[n] = $4 - before[$2 " " $3]; next }
    { last[$1] = $2 }
    function times(what, i, total, best) {
      for (i = 1; i <= n; i++) if (of[i] == what && le[i] == "+Inf") total = count[i]
      best = -1
      for (i = 1; i <= n; i++) if (of[i] == what && le[i] != "+Inf" && count[i] >= 0.95 * total && (best < 0 || le[i] + 0 < best)) best = le[i] + 0
      return sprintf("%d %.0f", total, (total == 0 ? 0 : best < 0 ? 99999 : best * 1000))
    }
    END {
      all = last["all"] - first["all"]; bad = last["bad"] - first["bad"]
      printf "%d %.3f %s %s\n", all, (all > 0 ? 100 * bad / all : 0), times("prices"), times("valuations")
    }' "$1" "$2"
}

# Watches a color that has the traffic. A sample that cannot be taken counts as
# a failure when it happens three times in a row.
watch() { # COLOR
  local color=$1 end=$((SECONDS + WATCH_SECONDS)) missed=0 all=0 bad=0 prices=0 p95=0 valuations=0 slow=0 restarts first_restarts ready want
  first_restarts=$(again restarts_of "$color") || { say "$color: its pods cannot be seen"; return 1; }
  again counts "$color" "$TMP/first" || { say "$color: its metrics cannot be read"; return 1; }
  say "$color has the traffic; watching it for $WATCH_SECONDS s"
  while ((SECONDS < end)); do
    sleep 3
    if ! { counts "$color" "$TMP/now" 2>/dev/null && restarts=$(restarts_of "$color") &&
      ready=$(deployment "$color" .status.readyReplicas) && want=$(replicas "$color") &&
      between "$TMP/first" "$TMP/now" >"$TMP/between" && read -r all bad prices p95 valuations slow <"$TMP/between"; }; then
      missed=$((missed + 1))
      ((missed < 3)) || { say "$color: its pods and metrics cannot be seen"; return 1; }
      continue
    fi
    missed=0
    if awk -v b="$bad" -v m="$MAX_ERROR_PERCENT" 'BEGIN { exit !(b > m) }'; then say "$color: $bad % of $all requests failed, more than $MAX_ERROR_PERCENT %"; return 1; fi
    if ((prices >= 20 && p95 > MAX_P95_MS)); then say "$color: one request in twenty takes more than $MAX_P95_MS ms (up to $p95 ms)"; return 1; fi
    if ((valuations >= 20 && slow > MAX_VALUATIONS_MS)); then say "$color: one request for valuations in twenty takes more than $MAX_VALUATIONS_MS ms (up to $slow ms)"; return 1; fi
    [[ $restarts -le $first_restarts ]] || { say "$color: a pod was restarted"; return 1; }
    ((${ready:-0} * 2 > want)) || { say "$color: only ${ready:-0} of $want pods are ready"; return 1; }
  done
  say "$color: $all requests, $bad % failed, 95 % within $p95 ms, of $valuations valuations within $slow ms"
}

restarts_of() { kc get pods -l "app.kubernetes.io/name=housing-api,color=$1" -o 'jsonpath={.items[*].status.containerStatuses[?(@.name=="api")].restartCount}' | tr ' ' '\n' | awk '{ n += $1 } END { print n + 0 }'; }

# ---------------------------------------------------------------- ends

# Runs however this ends: moves traffic back if it was moved and not found good.
finish() {
  local code=$? now
  trap '' INT TERM HUP
  set +e
  [[ -z $WAITING ]] || kill "$WAITING" 2>/dev/null
  if [[ -n $MOVED_FROM ]]; then
    now=$(active)
    if [[ $now == "$MOVED_FROM" ]]; then
      : # the change did not happen
    elif again move "$now" "$MOVED_FROM" rolled-back; then
      say "rolled back: traffic moved from $now to $MOVED_FROM again"
    else
      say "TRAFFIC COULD NOT BE MOVED BACK from $now to $MOVED_FROM. When the cluster answers again: $0 --rollback $ENVIRONMENT"
    fi
    [[ $code -ne 0 ]] || code=1
  fi
  if [[ -n $HEARTBEAT ]]; then
    now=$(active) && say "traffic is on $now, version $(version_of "$now")"
    drop_lock
  fi
  rm -rf "$TMP"
  exit "$code"
}

stopped() {
  say "interrupted"
  exit 130
}

fail() {
  say "FAILED: $*"
  exit 1
}

main() {
  local tool color target count state
  for tool in kubectl jq curl awk; do command -v "$tool" >/dev/null || { say "$tool is not on PATH"; exit 2; }; done
  trap finish EXIT
  trap stopped INT TERM HUP
  for color in blue green; do
    kc get deployment "housing-api-$color" >/dev/null || fail "no Deployment housing-api-$color in namespace $NAMESPACE: apply deploy/kubernetes/overlays/blue-green first"
  done
  if [[ $ACTION == status ]]; then
    color=$(active)
    printf 'traffic\t%s\nstate\t%s\n' "${color:-both (never deployed by this)}" "$(service .metadata.annotations.housing\\.deploy-state)"
    for color in blue green; do printf '%s\t%s of %s pods ready, version %s\n' "$color" "$(deployment "$color" .status.readyReplicas)" "$(replicas "$color")" "$(version_of "$color")"; done
    return
  fi
  take_lock || fail "no deployment was begun, nothing has changed"
  keep_lock >/dev/null 2>&1 &
  HEARTBEAT=$!

  color=$(active)
  if [[ -z $color ]]; then # the first time: both have traffic, of the same version
    color=blue
    again kc annotate service housing-api --overwrite housing.deploy-state=done >/dev/null
    again kc patch service housing-api -p '{"spec": {"selector": {"color": "blue"}}}' >/dev/null
  fi
  target=$(other "$color")
  state=$(service .metadata.annotations.housing\\.deploy-state)
  case $ACTION in
    rollback) rollback "$color" "$target" ;;
    retire) retire "$color" "$target" "$state" ;;
    deploy) deploy "$color" "$target" "$state" ;;
  esac
}

deploy() { # ACTIVE TARGET STATE
  local color=$1 target=$2 state=$3 count
  jq -e 'length > 0' "$GOLDEN" >/dev/null || fail "$GOLDEN holds no golden houses"
  if [[ $(pinned "$color") == "$VERSION" ]]; then
    if [[ $state != watching ]]; then
      say "$VERSION has the traffic already; nothing to do"
      return
    fi
    say "$VERSION has the traffic, and was not watched to the end: watching it again"
    MOVED_FROM=$target
    watch "$color" || fail "$VERSION is not good"
    MOVED_FROM=''
    note housing.deploy-state=done
    return
  fi
  [[ $state != watching ]] || fail "$(version_of "$color") has the traffic and was not watched to the end: first run '$0 $(pinned "$color") $ENVIRONMENT' or '$0 --rollback $ENVIRONMENT'"
  count=$(replicas "$color")
  ((count >= 3)) || count=3
  present "$color" || fail "nothing has changed"
  note housing.deploy-state=preparing
  if ! prepare "$target" "$count" || ! check "$target"; then
    note housing.deploy-state=failed
    kc scale "deployment/housing-api-$target" --replicas=0 >/dev/null || true
    fail "$VERSION is not good, and never had traffic"
  fi
  MOVED_FROM=$color
  move "$color" "$target" watching || fail "traffic could not be moved"
  watch "$target" || fail "$VERSION is not good"
  MOVED_FROM=''
  note housing.deploy-state=done
  say "deployed $VERSION; $color ($(version_of "$color")) keeps running for: $0 --rollback $ENVIRONMENT"
}

rollback() { # ACTIVE TARGET
  local color=$1 target=$2 count
  [[ $(service .metadata.annotations.housing\\.previous-color) == "$target" ]] || fail "there is no version before this one"
  count=$(replicas "$color")
  ((count >= 3)) || count=3
  if (($(replicas "$target") < count)); then again kc scale "deployment/housing-api-$target" --replicas="$count" >/dev/null; fi
  ready "$target" || fail "$target is not ready: traffic stays"
  again move "$color" "$target" "done" || fail "traffic could not be moved"
  say "rolled back to $target ($(version_of "$target"))"
}

retire() { # ACTIVE TARGET STATE
  [[ $3 != watching ]] || fail "the version that has the traffic was not watched to the end"
  again kc annotate service housing-api housing.previous-color- >/dev/null
  again kc scale "deployment/housing-api-$2" --replicas=0 >/dev/null
  say "$2 has no pods any more; there is nothing to roll back to"
}

main
