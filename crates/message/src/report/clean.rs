//! Texts of others, made harmless: one line without control characters, cut to a
//! length, folded.

/// The most characters of a server's reply that are told.
const MAX_REPLY: usize = 2_000;
/// The most characters of any other text.
const MAX_TEXT: usize = 500;
/// Where a field is folded (RFC 5322 §2.1.1 recommends 78).
const WIDTH: usize = 76;
/// The longest word of a field: with the name before it, it fits into the 998
/// bytes of a line.
const MAX_WORD: usize = 900;

/// Whether `c` would end a line, or change how others are shown.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` in one line, at most 500 characters.
pub(super) fn one_line(text: &str) -> String {
    clean(text).take(MAX_TEXT).collect()
}

/// The lines of a server's reply, at most 2000 characters of them.
pub(super) fn reply_lines(reply: &str) -> Vec<String> {
    let end = reply.char_indices().nth(MAX_REPLY);
    let reply = &reply[..end.map_or(reply.len(), |(at, _)| at)];
    let lines = reply.lines().map(|line| clean(line).collect::<String>());
    lines
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

fn clean(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if is_harmful(c) { ' ' } else { c })
}

/// `text` as it is if UTF-8 may stand there, else with `?` for what is not ASCII.
pub(super) fn ascii_or(text: String, utf8: bool) -> String {
    if utf8 || text.is_ascii() {
        return text;
    }
    let plain = |c: char| if c.is_ascii() { c } else { '?' };
    text.chars().map(plain).collect()
}

/// Appends the field `name: value`, folded.
pub(super) fn field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    let mut column = name.len() + 1;
    for word in value.split(' ') {
        let mut rest = word;
        loop {
            let (now, later) = rest.split_at(rest.floor_char_boundary(MAX_WORD));
            // A line of white space alone would end the field for some.
            if column + 1 + now.len() > WIDTH && !now.is_empty() {
                out.push_str("\r\n");
                column = 0;
            }
            out.push(' ');
            out.push_str(now);
            column += 1 + now.len();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
    }
    out.push_str("\r\n");
}
