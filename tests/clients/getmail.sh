#!/usr/bin/env bash
# getmail: POP3 and IMAP over TLS; each message is handed over once, the second
# run finds nothing new.
set -eu
swaks --silent 2 --server "$HOST:$SMTP" --from s@outside.test --to "$ALICE" --h-Subject "getmail $$"
run() {
    local retriever=$1 port=$2
    mkdir -p "$retriever"/{config,Mail}
    cat >"$retriever/config/getmailrc" <<R
[retriever]
type = Simple${retriever}SSLRetriever
server = localhost
port = $port
username = $ALICE
password = $PASSWORD
ca_certs = $CA

[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >\$(mktemp $PWD/$retriever/Mail/XXXXXX)")
allow_root_commands = true

[options]
read_all = false
R
    getmail --getmaildir "$PWD/$retriever/config"
    [ "$(grep -rl "^Subject: getmail $$" "$retriever/Mail" | wc -l)" -eq 1 ]
    local first
    first=$(find "$retriever/Mail" -type f | wc -l)
    getmail --getmaildir "$PWD/$retriever/config"
    [ "$(find "$retriever/Mail" -type f | wc -l)" -eq "$first" ]
}
run POP3 "$POP3S"
run IMAP "$IMAPS"
