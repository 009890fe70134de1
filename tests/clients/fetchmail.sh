#!/usr/bin/env bash
# fetchmail: POP3 over TLS with UIDL and over STLS, IMAP over TLS; each message
# is handed to a delivery agent once.
set -eu
swaks --silent 2 --server "$HOST:$SMTP" --from s@outside.test --to "$ALICE" --h-Subject "fetchmail $$"
run() {
    local protocol=$1 port=$2 tls=$3 options=$4
    : >mbox
    cat >fetchmailrc <<R
poll localhost protocol $protocol port $port $options
  user "$ALICE" password "$PASSWORD" $tls sslcertck sslcertfile "$CA"
  fetchall keep mda "cat >>$PWD/mbox"
R
    chmod 600 fetchmailrc
    fetchmail --fetchmailrc fetchmailrc --idfile "$PWD/ids.$protocol$port" --pidfile "$PWD/pid" \
        --nosyslog -v -N --nodetach || [ $? -eq 1 ]
    [ "$(grep -c "^Subject: fetchmail $$" mbox)" -eq 1 ]
}
run POP3 "$POP3S" ssl uidl
run POP3 "$POP3" "sslproto TLS1.2+" uidl
run IMAP "$IMAPS" ssl ""
