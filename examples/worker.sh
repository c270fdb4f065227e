#!/usr/bin/env bash
# A worker made of bash, curl and jq: claims steps, runs a command for each, and reports.
#
#   PROVENANCE_URL=https://graph.example PROVENANCE_TOKEN=pg_… examples/worker.sh 'COMMAND'
#
# The command finds its parameters as JSON in PROVENANCE_PARAMETERS, its input files in PROVENANCE_INPUT_DIR, and leaves
# its output files in PROVENANCE_OUTPUT_DIR. With UNTIL_IDLE=1 the worker ends when nothing waits.
set -euo pipefail

URL=${PROVENANCE_URL:?set it to the address of the server}/graphql
TOKEN=${PROVENANCE_TOKEN:?set it to a token of the role WORKER}
COMMAND=${1:?give the command to run}
WORKER="$(uname -n)-$$"
LEASE=60

# Sends a mutation with the input that comes on stdin, and prints its payload. Fails when it is refused. All of them may
# be repeated but a claim: when its answer is lost, what it got comes back as soon as its lease has lapsed.
ask() {
    local answer
    answer=$(jq --arg query "$1" '{query: $query, variables: {input: .}}' |
        curl -sS --max-time 60 --retry 5 --retry-all-errors "$URL" --data-binary @- \
            -H 'Content-Type: application/json' -H @<(printf 'Authorization: Bearer %s\n' "$TOKEN"))
    jq -e '.data // {} | to_entries[0].value | select(.userErrors == [])' <<<"$answer" ||
        { jq -r '.errors // [.data[].userErrors[]] | .[].message' <<<"$answer" >&2; return 1; }
}

# Prints an input that names what is held, with what else is given as jq's arguments.
held() {
    jq -n --arg id "$id" --arg worker "$WORKER" --argjson attempt "$attempt" "$@" \
        '{id: $id, worker: $worker, attempt: $attempt} + $ARGS.named'
}

claim() {
    jq -n --arg worker "$WORKER" --argjson lease "$LEASE" '{worker: $worker, kinds: ["STEP"], leaseSeconds: $lease}' |
        ask 'mutation($input: ClaimActivityInput!) { claimActivity(input: $input) {
            activity { id attempt ... on Step { key parameters
                inputFiles { stepKey fileName downloadUrl { url } } } }
            userErrors { message } } }'
}

# Extends the lease every third of its time. Once that is refused, the command is ended.
keep_lease() {
    trap 'kill "$!"; exit' TERM
    while sleep $((LEASE / 3)) & wait "$!"; do
        jq -n --arg id "$id" --arg worker "$WORKER" --argjson lease "$LEASE" \
            '{id: $id, worker: $worker, leaseSeconds: $lease}' |
            ask 'mutation($input: ExtendLeaseInput!) { extendLease(input: $input) { userErrors { message } } }' \
                >/dev/null || { kill -- "-$command"; return; }
    done
}

# Sends the lines that come on stdin, once a second or a thousand at a time.
send_log() {
    local next=1 line='' part status lines=()
    while true; do
        status=0
        IFS= read -r -t 1 part || status=$?
        line+=$part
        # Above 128 the second is over, and a line may be half read; 1 is the end.
        if [ "$status" = 0 ] || { [ "$status" = 1 ] && [ -n "$line" ]; }; then lines+=("$line"); line=''; fi
        if [ "${#lines[@]}" -gt 0 ] && { [ "$status" != 0 ] || [ "${#lines[@]}" = 1000 ]; }; then
            printf '%s\n' "${lines[@]}" |
                jq -R '{timestamp: (now | todate), message: .[:10000]}' |
                jq -s --arg id "$id" --argjson attempt "$attempt" --argjson next "$next" \
                    '{activityId: $id, attempt: $attempt, firstSequence: $next, entries: .}' |
                ask 'mutation($input: AppendLogsInput!) { appendLogs(input: $input) { userErrors { message } } }' \
                    >/dev/null || { cat >/dev/null; return; }
            next=$((next + ${#lines[@]}))
            lines=()
        fi
        [ "$status" != 1 ] || return 0
    done
}

hash_of() {
    sha256sum | cut -c 1-64
}

# Uploads a file and registers it under a name.
upload() {
    local file=$1 name=$2 target
    target=$(jq -n --arg name "$name" --arg size "$(stat -c %s "$file")" --arg sha "$(hash_of <"$file")" \
        --arg key "$id/$attempt/$(hash_of <<<"$name")" '{idempotencyKey: $key, purpose: "OUTPUT",
            fileName: $name, mediaType: "application/octet-stream", sizeBytes: $size, sha256: $sha}' |
        ask 'mutation($input: CreateUploadInput!) { createUpload(input: $input) {
            upload { id target { url headers } } userErrors { message } } }')
    jq -r '.upload.target.headers | to_entries[] | "header = \"\(.key): \(.value)\""' <<<"$target" |
        curl -sS --fail --globoff --config - --upload-file "$file" "$(jq -r .upload.target.url <<<"$target")"
    jq --arg id "$id" --argjson attempt "$attempt" --arg name "$name" \
        '{stepId: $id, attempt: $attempt, fileName: $name, uploadId: .upload.id}' <<<"$target" |
        ask 'mutation($input: RegisterOutputInput!) { registerOutput(input: $input) { userErrors { message } } }' \
            >/dev/null
}

complete() {
    held "$@" | ask 'mutation($input: CompleteActivityInput!) { completeActivity(input: $input) {
        activity { status } userErrors { message } } }' | jq -r '"  \(.activity.status)"'
}

release() {
    trap '' TERM INT
    [ -z "$command" ] || kill -- "-$command" 2>/dev/null || true
    kill $(jobs -p) 2>/dev/null || true
    [ -z "$id" ] || held |
        ask 'mutation($input: ReleaseActivityInput!) { releaseActivity(input: $input) { userErrors { message } } }' \
            >/dev/null || true
    rm -rf "$place"
    exit 0
}

run() {
    local step=$1 keeper log code=0
    mkdir "$place/inputs" "$place/outputs" "$place/work" && mkfifo "$place/log"
    while IFS=$'\t' read -r folder file url; do
        mkdir -p "$(dirname "$place/inputs/$folder/$file")"
        curl -sS --fail --globoff --output "$place/inputs/$folder/$file" "$url"
    done < <(jq -r '.inputFiles[] | [.stepKey, .fileName, .downloadUrl.url] | @tsv' <<<"$step")

    send_log <"$place/log" & log=$!
    cd "$place/work"
    env -u PROVENANCE_TOKEN PROVENANCE_STEP_KEY="$(jq -r .key <<<"$step")" \
        PROVENANCE_PARAMETERS="$(jq -c .parameters <<<"$step")" \
        PROVENANCE_INPUT_DIR="$place/inputs" PROVENANCE_OUTPUT_DIR="$place/outputs" \
        setsid bash -c "$COMMAND" >"$place/log" 2>&1 & command=$!
    keep_lease & keeper=$!
    cd / && wait "$command" || code=$?
    wait "$log"
    command=''

    if [ "$code" = 0 ]; then
        while IFS= read -r -d '' file; do
            upload "$file" "${file#"$place/outputs/"}" || code=1
        done < <(find "$place/outputs" -type f -print0)
    fi
    kill "$keeper" 2>/dev/null || true
    if [ "$code" = 0 ]; then
        complete --arg outcome SUCCEEDED
    else
        complete --arg outcome FAILED --argjson error "$(jq -n --argjson code "$code" '{code: "EXIT_CODE_\($code)",
            message: "The command ended with exit code \($code).", retryable: ($code == 75)}')"
    fi
}

id='' command='' place=''
trap release TERM INT
while true; do
    step=$(claim | jq -c .activity) || { sleep 5; continue; }
    if [ "$step" = null ]; then
        [ -z "${UNTIL_IDLE:-}" ] || exit 0
        sleep 2
        continue
    fi
    id=$(jq -r .id <<<"$step") attempt=$(jq -r .attempt <<<"$step")
    echo "$id: attempt $attempt of $(jq -r .key <<<"$step")"
    place=$(mktemp -d)
    run "$step" || echo "  its end could not be reported: the lease will lapse" >&2
    rm -rf "$place"
    id='' place=''
done
