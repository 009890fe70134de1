#!/usr/bin/env bash
# curl: SMTP, IMAP and POP3, each plain with STARTTLS required and over TLS.
set -eu
login=(--user "$ALICE:$PASSWORD" --cacert "$CA" --silent --show-error --max-time 20)

printf 'From: Alice <%s>\r\nTo: Alice <%s>\r\nSubject: curl %s\r\n\r\nhello from curl\r\n' \
    "$ALICE" "$ALICE" $$ >message.eml
for url in "smtp://localhost:$SUBMISSION" "smtps://localhost:$SUBMISSIONS"; do
    curl "${login[@]}" --ssl-reqd --url "$url" --mail-from "$ALICE" --mail-rcpt "$ALICE" \
        --upload-file message.eml
done

for url in "imap://localhost:$IMAP" "imaps://localhost:$IMAPS"; do
    curl "${login[@]}" --ssl-reqd "$url/" | grep INBOX
    uid=$(curl "${login[@]}" --ssl-reqd "$url/INBOX" --request "UID SEARCH SUBJECT \"curl $$\"" |
        tr -d '\r' | awk '{print $NF}')
    curl "${login[@]}" --ssl-reqd "$url/INBOX;UID=$uid" | grep 'hello from curl'
    curl "${login[@]}" --ssl-reqd "$url/INBOX;UID=$uid;SECTION=HEADER.FIELDS%20(SUBJECT)" |
        grep "curl $$"
    curl "${login[@]}" --ssl-reqd --upload-file message.eml "$url/Drafts"
done

for url in "pop3://localhost:$POP3" "pop3s://localhost:$POP3S"; do
    last=$(curl "${login[@]}" --ssl-reqd "$url/" | tail -n 1 | awk '{print $1}')
    curl "${login[@]}" --ssl-reqd "$url/$last" | grep 'hello from curl'
    curl "${login[@]}" --ssl-reqd "$url/" --request "TOP $last 0" | grep -i '^Subject: curl'
    curl "${login[@]}" --ssl-reqd "$url/" --request UIDL >/dev/null
done

if curl "${login[@]}" --user "$ALICE:wrong" --ssl-reqd "imap://localhost:$IMAP/"; then
    echo "a wrong password was accepted"; exit 1
fi
