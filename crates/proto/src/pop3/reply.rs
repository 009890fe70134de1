//! Replies: `+OK`, and `-ERR` with its response code (RFC 2449 §8, RFC 3206).

/// What kind of error it is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// None fits.
    None,
    /// `[AUTH]`: the credentials (RFC 3206 §3).
    Auth,
    /// `[SYS/TEMP]`: ours, and it may pass (RFC 3206 §3).
    SysTemp,
    /// `[SYS/PERM]`: ours, and somebody must do something (RFC 3206 §3).
    SysPerm,
}

impl ErrorCode {
    const fn prefix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Auth => "[AUTH] ",
            Self::SysTemp => "[SYS/TEMP] ",
            Self::SysPerm => "[SYS/PERM] ",
        }
    }
}

/// Writes `+OK text`.
pub fn write_ok(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK ");
    write_line(text, out);
}

/// Writes `-ERR [code] text`.
pub fn write_err(code: ErrorCode, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR ");
    out.extend_from_slice(code.prefix().as_bytes());
    write_line(text, out);
}

/// The text in one line: no byte of it can end the reply.
fn write_line(text: &str, out: &mut Vec<u8>) {
    out.extend(
        text.bytes()
            .map(|b| if b.is_ascii_control() { b' ' } else { b }),
    );
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_one_line() {
        let mut out = Vec::new();
        write_ok("1 message", &mut out);
        write_err(ErrorCode::SysTemp, "no\r\n+OK", &mut out);
        write_err(ErrorCode::None, "no", &mut out);
        assert_eq!(
            out,
            b"+OK 1 message\r\n-ERR [SYS/TEMP] no  +OK\r\n-ERR no\r\n"
        );
    }
}
