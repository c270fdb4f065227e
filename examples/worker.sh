#!/usr/bin/env bash
# A worker made of bash, curl and jq: claims steps, runs a command for each, and reports.
#
#   PROVENANCE_URL=https://graph.example PROVENANCE_TOKEN=pg_… examples/worker.sh 'COMMAND'
#
# The command finds its parameters as JSON in the file PROVENANCE_PARAMETERS_FILE, and in PROVENANCE_PARAMETERS where they
# fit into a variable, its input files in PROVENANCE_INPUT_DIR, and leaves its output files in PROVENANCE_OUTPUT_DIR. It
# is ended with its process group: what has left that goes on, which `provenance-graph work` would end as well. With
# UNTIL_IDLE=1 the worker ends when nothing waits.
set -euo pipefail

URL=${PROVENANCE_URL:?set it to the address of the server}/graphql
TOKEN=${PROVENANCE_TOKEN:?set it to a token of the role WORKER}
COMMAND=${1:?give the command to run}
WORKER="$(uname -n)-$$"
LEASE=60
ANSWER_WITHIN=60 RETRIES=5
# Bytes; Linux takes 131,072 as one variable.
LARGEST_VARIABLE=100000
# Of the log lines in one request: the server takes 1,000, and a million bytes.
MOST_LINES=1000 MOST_CHARACTERS=100000
# Seconds without claims after a step that this machine could not run, doubled each time.
FIRST_PAUSE=5 LONGEST_PAUSE=300

# Sends the request that comes on stdin, and prints the answer.
post() {
    curl -sS --max-time "$ANSWER_WITHIN" --retry "$RETRIES" --retry-all-errors "$URL" --data-binary @- \
        -H 'Content-Type: application/json' -H @<(printf 'Authorization: Bearer %s\n' "$TOKEN")
}

# Sends a mutation with the input that comes on stdin, and prints its payload. Fails when it is refused. All of them may
# be repeated: a claim, and what creates something, under a key by which the server knows a repeat.
ask() {
    local answer
    answer=$(jq --arg query "$1" '{query: $query, variables: {input: .}}' | post)
    jq -e '.data // {} | to_entries[0].value | select(.userErrors == [])' <<<"$answer" ||
        { jq -r '.errors // [.data[].userErrors[]] | .[].message' <<<"$answer" >&2; return 1; }
}

# Prints an input that names what is held, with what else is given as jq's arguments.
held() {
    jq -n --arg id "$id" --arg worker "$WORKER" --argjson attempt "$attempt" "$@" \
        '{id: $id, worker: $worker, attempt: $attempt} + $ARGS.named'
}

claim() {
    jq -n --arg worker "$WORKER" --argjson lease "$LEASE" --arg key "$WORKER-$(date +%s%N)" \
        '{worker: $worker, kinds: ["STEP"], leaseSeconds: $lease, idempotencyKey: $key}' |
        ask 'mutation($input: ClaimActivityInput!) { claimActivity(input: $input) {
            activity { id attempt ... on Step { key parameters } }
            nextAvailableAt userErrors { message } } }'
}

# Prints the input files of what is held. Fails where there is no answer, and where the step uses an output that it may
# not read any more, which it then prints.
input_files() {
    local answer
    answer=$(jq -n --arg id "$id" --arg query 'query($id: ID!) { step(id: $id) { id
        inputFiles(first: 100) { nodes { stepKey name downloadUrl { url } } totalCount } } }' \
        '{query: $query, variables: {id: $id}}' | post)
    jq -e '.data.step.inputFiles // empty' <<<"$answer" ||
        { jq -r '.errors // [] | .[] | select(.extensions.code == "NOT_FOUND").message' <<<"$answer"; return 1; }
}

# Ends the command's group: with SIGTERM, and after five seconds with SIGKILL.
end_command() {
    kill -- "-$command" 2>/dev/null || return 0
    for _ in {1..50}; do
        sleep 0.1
        kill -0 -- "-$command" 2>/dev/null || return 0
    done
    kill -KILL -- "-$command" 2>/dev/null || true
}

# Extends the lease every third of its time. Once that is refused, the command is ended.
keep_lease() {
    trap 'kill "$!"; exit' TERM
    while sleep $((LEASE / 3)) & wait "$!"; do
        held --argjson leaseSeconds "$LEASE" |
            ask 'mutation($input: ExtendLeaseInput!) { extendLease(input: $input) { userErrors { message } } }' \
                >/dev/null || { end_command; return; }
    done
}

# Sends the lines that come on stdin, once a second or as many as a request may hold.
send_log() {
    local next=1 line='' part status lines=() characters=0
    while true; do
        status=0
        IFS= read -r -t 1 part || status=$?
        line+=$part
        # Above 128 the second is over, and a line may be half read; 1 is the end.
        if [ "$status" = 0 ] || { [ "$status" = 1 ] && [ -n "$line" ]; }; then
            lines+=("$line") characters=$((characters + ${#line})) line=''
        fi
        if [ "${#lines[@]}" -gt 0 ] && { [ "$status" != 0 ] || [ "${#lines[@]}" = "$MOST_LINES" ] ||
            [ "$characters" -gt "$MOST_CHARACTERS" ]; }; then
            printf '%s\n' "${lines[@]}" |
                jq -R '{timestamp: (now | todate), message: .[:10000]}' |
                jq -s --arg id "$id" --argjson attempt "$attempt" --argjson next "$next" \
                    '{activityId: $id, attempt: $attempt, firstSequence: $next, entries: .}' |
                ask 'mutation($input: AppendLogsInput!) { appendLogs(input: $input) { userErrors { message } } }' \
                    >/dev/null || { cat >/dev/null; return; }
            next=$((next + ${#lines[@]}))
            lines=() characters=0
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
            upload { id target { url headers } } userErrors { message } } }') || return
    jq -r '.upload.target.headers | to_entries[] | "header = \"\(.key): \(.value)\""' <<<"$target" |
        curl -sS --fail --retry 5 --retry-all-errors --globoff --config - --upload-file "$file" \
            "$(jq -r .upload.target.url <<<"$target")" || return
    jq --arg id "$id" --argjson attempt "$attempt" --arg name "$name" \
        '{stepId: $id, attempt: $attempt, fileName: $name, uploadId: .upload.id}' <<<"$target" |
        ask 'mutation($input: RegisterOutputInput!) { registerOutput(input: $input) { userErrors { message } } }' \
            >/dev/null
}

# Uploads everything that the command has left.
upload_all() {
    local file
    while IFS= read -r -d '' file; do
        upload "$file" "${file#"$place/outputs/"}" || return
    done < <(find "$place/outputs" -type f -print0)
}

complete() {
    held "$@" | ask 'mutation($input: CompleteActivityInput!) { completeActivity(input: $input) {
        activity { id status } userErrors { message } } }' | jq -r '"  \(.activity.status)"'
}

# Reports a failure: its code, its message, and whether another attempt may help.
fail() {
    complete --arg outcome FAILED --argjson error "$(jq -n --arg code "$1" --arg message "$2" --argjson retryable "$3" \
        '{code: $code, message: $message, retryable: $retryable}')"
}

# Hands back what is held; with a reason, which the step's log tells, for others to try.
hand_back() {
    held "$@" |
        ask 'mutation($input: ReleaseActivityInput!) { releaseActivity(input: $input) { userErrors { message } } }' \
            >/dev/null || true
}

release() {
    trap '' TERM INT
    ANSWER_WITHIN=2 RETRIES=0
    [ -z "$command" ] || end_command
    kill $(jobs -p) 2>/dev/null || true
    [ -z "$id" ] || hand_back
    [ -z "$place" ] || rm -rf "$place"
    exit 0
}

# Prints why nobody can fetch the step's input files with this script, if that is so.
unfetchable() {
    jq -r 'if .totalCount > 100 then "This worker takes at most 100 input files." else
        first(.nodes[] | select(.downloadUrl == null or (.name | split("/") | any(. == "..")))
            | "\(.name) of step \(.stepKey) cannot be fetched.") end' <<<"$1"
}

# Makes what the command needs of a step and its files; fails, and says why, when this machine cannot. A step's key is the
# name of its folder; one that would lead elsewhere is written as in URLs.
prepare() {
    local folder file url
    mkdir "$place/inputs" "$place/outputs" "$place/work" && mkfifo "$place/log" &&
        jq -c .parameters <<<"$1" >"$place/parameters.json" || return
    while IFS=$'\t' read -r folder file url; do
        mkdir -p "$(dirname "$place/inputs/$folder/$file")" &&
            curl -sS --fail --retry 5 --retry-all-errors --globoff --output "$place/inputs/$folder/$file" "$url" || return
    done < <(jq -r '.nodes[] | [(.stepKey |
        if . == "." or . == ".." then gsub("[.]"; "%2E") elif contains("/") then @uri else . end),
        .name, .downloadUrl.url] | @tsv' <<<"$2")
}

# Prints whether another attempt may help: the command says so by 75, others say that something kept it from its work.
is_retryable() {
    case $1 in
        75) echo true ;;
        125 | 126 | 127) echo true ;;             # docker, podman or a shell could not run it
        129 | 130 | 131 | 137 | 143) echo true ;; # SIGHUP, SIGINT, SIGQUIT, SIGKILL and SIGTERM come from outside
        *) echo false ;;
    esac
}

run() {
    local step=$1 keeper log code=0 parameters=()
    [ "$(stat -c %s "$place/parameters.json")" -gt "$LARGEST_VARIABLE" ] ||
        parameters=("PROVENANCE_PARAMETERS=$(cat "$place/parameters.json")")
    send_log <"$place/log" & log=$!
    cd "$place/work"
    env -u PROVENANCE_TOKEN PROVENANCE_STEP_KEY="$(jq -r .key <<<"$step")" "${parameters[@]}" \
        PROVENANCE_PARAMETERS_FILE="$place/parameters.json" \
        PROVENANCE_INPUT_DIR="$place/inputs" PROVENANCE_OUTPUT_DIR="$place/outputs" \
        setsid bash -c "$COMMAND" >"$place/log" 2>&1 & command=$!
    keep_lease & keeper=$!
    cd / && wait "$command" || code=$?
    wait "$log"
    command=''

    [ "$code" != 0 ] || upload_all || code=not-uploaded
    kill "$keeper" 2>/dev/null || true
    case $code in
        0) complete --arg outcome SUCCEEDED ;;
        not-uploaded) fail OUTPUTS_NOT_UPLOADED "The output files could not be uploaded." true ;;
        *) fail "EXIT_CODE_$code" "The command ended with exit code $code." "$(is_retryable "$code")" ;;
    esac
}

# Runs a step, or hands it back when this machine cannot, and lets others have the next ones.
try() {
    local why files
    if ! files=$(input_files); then
        fail INPUTS_NOT_FETCHED "${files:-The server did not tell the input files.}" \
            "$([ -n "$files" ] && echo false || echo true)" || true
    elif why=$(unfetchable "$files") && [ -n "$why" ]; then
        fail INPUTS_NOT_FETCHED "$why" false || true
    elif why=$(mktemp -d 2>&1) && place=$why && why=$(prepare "$1" "$files" 2>&1); then
        pause=$FIRST_PAUSE
        run "$1" || echo "  its end could not be reported: the lease will expire" >&2
    else
        why=$(tr '\n' ' ' <<<"$why" | cut -c 1-900)
        echo "  handed back, and nothing is claimed for $pause s: $why" >&2
        hand_back --arg reason "The worker cannot run it: $why"
        id=''
        sleep "$pause" & wait "$!" || true
        pause=$((pause * 2 > LONGEST_PAUSE ? LONGEST_PAUSE : pause * 2))
    fi
    [ -z "$place" ] || rm -rf "$place"
}

id='' command='' place='' pause=$FIRST_PAUSE
trap release TERM INT
while true; do
    claimed=$(claim) || { sleep 5; continue; }
    step=$(jq -c .activity <<<"$claimed")
    if [ "$step" = null ]; then
        # What waits for its next attempt is waited for.
        [ -z "${UNTIL_IDLE:-}" ] || [ "$(jq -r .nextAvailableAt <<<"$claimed")" != null ] || exit 0
        sleep 2
        continue
    fi
    id=$(jq -r .id <<<"$step") attempt=$(jq -r .attempt <<<"$step")
    echo "$id: attempt $attempt of $(jq -r .key <<<"$step")"
    try "$step"
    id='' place=''
done
