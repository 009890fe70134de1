#!/usr/bin/env bash
# swaks: reception, submission over STARTTLS and TLS, LMTP, and the refusals.
set -eu
swaks="swaks --server $HOST --timeout 20 --h-Subject swaks-$$ --tls-ca-path $CA"

$swaks --port "$SMTP" --from stranger@outside.test --to "$ALICE"
$swaks --port "$SMTP" --from stranger@outside.test --to "$ALICE" --tls
$swaks --port "$SMTP" --from stranger@outside.test --to "$ALICE,$BOB" --pipeline
$swaks --port "$SUBMISSION" --from "$ALICE" --to "$BOB" --tls \
    --auth PLAIN --auth-user "$ALICE" --auth-password "$PASSWORD"
$swaks --port "$SUBMISSIONS" --from "$ALICE" --to "$BOB" --tls-on-connect \
    --auth LOGIN --auth-user "$ALICE" --auth-password "$PASSWORD"
$swaks --port "$LMTP" --protocol LMTP --from stranger@outside.test --to "$ALICE"

# refused NAME PATTERN ARGUMENTS...: the dialogue must fail with this reply.
refused() {
    local name=$1 pattern=$2
    shift 2
    if $swaks "$@" >"$name.log" 2>&1; then
        echo "$name was not refused"; exit 1
    fi
    grep -E "$pattern" "$name.log" || { echo "$name: expected $pattern"; cat "$name.log"; exit 1; }
}
refused unknown '550 5\.1\.1' --port "$SMTP" --from s@outside.test --to nobody@example.test
refused relay '554 5\.7\.1 .*relay not permitted' --port "$SMTP" --from s@outside.test --to x@elsewhere.test
refused anonymous '530 5\.7\.0' --port "$SUBMISSION" --tls --from "$ALICE" --to "$BOB"
refused password '535 5\.7\.8' --port "$SUBMISSION" --tls --from "$ALICE" --to "$BOB" \
    --auth PLAIN --auth-user "$ALICE" --auth-password wrong
refused sender '55[03] 5\.7\.1' --port "$SUBMISSION" --tls --from "$BOB" --to "$BOB" \
    --auth PLAIN --auth-user "$ALICE" --auth-password "$PASSWORD"
