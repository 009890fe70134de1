//! RFC 5322 and MIME: the summary that is kept of each message.
