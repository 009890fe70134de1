# Sends a message to a new account and reads it: what `helm test` does. Needs curl.
#   HTTP, MAIL            HOST:PORT of the administration, host of the mail Service
#   SMTP_PORT, IMAPS_PORT
#   TOKEN_FILE            the administration token
#   DOMAIN                added and removed again
set -eu
folder=${TMPDIR:-/tmp}
account=test@$DOMAIN
word=$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
token=$(cat "$TOKEN_FILE")

# api METHOD PATH [BODY]
api() {
    curl -sS --fail-with-body --max-time 60 --request "$1" --header "Authorization: Bearer $token" \
        --header 'Content-Type: application/json' --data "${3:-}" "http://$HTTP/v1/$2"
}
forget() {
    api DELETE "accounts/$account" >/dev/null 2>&1 || true
    api DELETE "domains/$DOMAIN" >/dev/null 2>&1 || true
}
# As a client, then as a balancer that sends a PROXY header.
client() { curl -sS --max-time 30 --insecure "$@" || curl -sS --max-time 30 --insecure --haproxy-protocol "$@"; }

forget
trap forget EXIT
api POST domains "{\"name\": \"$DOMAIN\"}" >/dev/null
api POST accounts "{\"address\": \"$account\", \"password\": \"$word\"}" >/dev/null
echo "made $account"
printf 'From: helm@example.org\r\nTo: %s\r\nSubject: %s\r\n\r\nIt works.\r\n' "$account" "$word" >"$folder/message"
client "smtp://$MAIL:$SMTP_PORT" --mail-from helm@example.org --mail-rcpt "$account" --upload-file "$folder/message"
echo "sent a message"
client "imaps://$MAIL:$IMAPS_PORT/INBOX;UID=1" --user "$account:$word" >"$folder/read"
grep -q "Subject: $word" "$folder/read"
echo "read it"
