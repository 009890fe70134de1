#!/usr/bin/env bash
# mbsync: two folders both ways, twice, without duplicates and with flags.
set -eu
mkdir -p mail
cat >mbsyncrc <<R
IMAPAccount postrider
Host localhost
Port $IMAPS
User $BOB
Pass $PASSWORD
SSLType IMAPS
CertificateFile $CA
AuthMechs *

IMAPStore remote
Account postrider

MaildirStore local
Path mail/
Inbox mail/INBOX
SubFolders Verbatim

Channel both
Far :remote:
Near :local:
Patterns INBOX Drafts
Create Both
Expunge Both
SyncState *
R
count() { find "mail/$1/cur" "mail/$1/new" -type f | wc -l; }
remote() {
    curl -sS --cacert "$CA" --user "$BOB:$PASSWORD" "imaps://localhost:$IMAPS/" \
        --request "STATUS $1 (MESSAGES)" | tr -dc '0-9'
}
for n in 1 2 3; do
    swaks --silent 2 --server "$HOST:$SMTP" --from s@outside.test --to "$BOB" --h-Subject "mbsync $$ $n"
done
mbsync -c mbsyncrc both
[ "$(count INBOX)" -eq "$(remote INBOX)" ]

for n in 1 2; do
    printf 'From: %s\nTo: %s\nSubject: draft %s\nMessage-ID: <draft-%s-%s@example.test>\n\nnot sent yet\n' \
        "$BOB" "$ALICE" $n $n $$ >"mail/Drafts/new/$n.$$.host"
done
before=$(remote Drafts)
mbsync -c mbsyncrc both
[ "$(remote Drafts)" -eq $((before + 2)) ]
inbox=$(count INBOX) drafts=$(count Drafts)
mbsync -c mbsyncrc both
mbsync -c mbsyncrc both
[ "$(count INBOX)" -eq "$inbox" ] && [ "$(remote INBOX)" -eq "$inbox" ]
[ "$(count Drafts)" -eq "$drafts" ] && [ "$(remote Drafts)" -eq "$drafts" ]

# A flag set and a message deleted here appear there.
one=$(grep -rl "Subject: mbsync $$ 1" mail/INBOX | head -n 1)
mv "$one" "mail/INBOX/cur/$(basename "${one%%:*}"):2,FS"
two=$(grep -rl "Subject: mbsync $$ 2" mail/INBOX | head -n 1)
mv "$two" "mail/INBOX/cur/$(basename "${two%%:*}"):2,T"
mbsync -c mbsyncrc both
[ "$(remote INBOX)" -eq $((inbox - 1)) ]
curl -sS --cacert "$CA" --user "$BOB:$PASSWORD" "imaps://localhost:$IMAPS/INBOX" \
    --request "SEARCH FLAGGED SUBJECT \"mbsync $$ 1\"" | grep -E '[0-9]'
