#!/usr/bin/env bash
# mutt in batch: sends with an attachment by submission, keeps the copy in Sent
# over IMAP, then reads the message as the other user.
set -eu
common="set ssl_ca_certificates_file=$CA
set certificate_file=$CA
set ssl_usesystemcerts=no
set ssl_force_tls=yes
set header_cache=
set timeout=10"
cat >alice.rc <<R
$common
set from=$ALICE realname=Alice use_from=yes
set smtp_url="smtp://$ALICE@localhost:$SUBMISSION/" smtp_pass="$PASSWORD"
set imap_user="$ALICE" imap_pass="$PASSWORD"
set folder="imaps://localhost:$IMAPS/" record="=Sent" copy=yes
R
head -c 100000 /dev/urandom >noise.bin
echo "hello from mutt" | mutt -F alice.rc -s "mutt $$" -a noise.bin -- "$BOB" </dev/stdin

fetch() {
    curl -sS --cacert "$CA" --user "$1:$PASSWORD" "imaps://localhost:$IMAPS/$2" \
        --request "SEARCH SUBJECT \"mutt $$\"" | grep -E 'SEARCH [0-9]+'
}
fetch "$BOB" INBOX
fetch "$ALICE" Sent

cat >bob.rc <<R
$common
set imap_user="$BOB" imap_pass="$PASSWORD"
set folder="imaps://localhost:$IMAPS/" spoolfile="=INBOX"
set mbox_type=mbox delete=yes confirmcreate=no confirmappend=no quit=yes
push "<limit>~s 'mutt $$'<enter><tag-pattern>~s 'mutt $$'<enter><tag-prefix><copy-message>$PWD/copied<enter><quit>"
R
TERM=xterm timeout 60 script -qec "mutt -F bob.rc" /dev/null </dev/null >screen.log || true
grep -q "hello from mutt" copied
grep -q "filename=\"\?noise.bin" copied
