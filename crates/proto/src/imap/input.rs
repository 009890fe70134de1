//! The tokenizer: one pass over the bytes of one command, with its literals in
//! place (`{3}` CRLF and three bytes). Every function either moves on past what
//! it read or fails; nothing is read twice.

use std::borrow::Cow;

use super::error::Problem;
use super::mutf7;

/// The rest of a command.
#[derive(Clone, Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// RFC 3501 §9, ATOM-CHAR.
pub(super) const fn is_atom_char(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// RFC 3501 §9, ASTRING-CHAR.
pub(super) const fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte, which stays.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn fail<T>(&self, expected: &'static str) -> Result<T, Problem> {
        let at = self.at;
        Err(Problem::Syntax { expected, at })
    }

    /// Passes over `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Problem> {
        if self.eat(byte) {
            return Ok(());
        }
        self.fail(expected)
    }

    pub(super) fn space(&mut self) -> Result<(), Problem> {
        self.expect(b' ', "a space")
    }

    /// Passes over spaces and tells whether an argument follows them. Spaces at
    /// the end of a command, which some clients send, are no argument.
    pub(super) fn more(&mut self) -> bool {
        let start = self.at;
        while self.eat(b' ') {}
        self.at > start && !self.at_end()
    }

    /// The end of the command.
    pub(super) fn end(&mut self) -> Result<(), Problem> {
        while self.eat(b' ') {}
        if self.at_end() {
            return Ok(());
        }
        self.fail("the end of the command")
    }

    /// The longest run of ASCII bytes that `wanted` takes; may be empty.
    fn run(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|&b| !b.is_ascii() || !wanted(b))
            .unwrap_or(rest.len());
        let run = rest.get(..length).unwrap_or_default();
        self.at += length;
        std::str::from_utf8(run).expect("a run holds ASCII only")
    }

    fn run1(
        &mut self,
        expected: &'static str,
        wanted: impl Fn(u8) -> bool,
    ) -> Result<&'a str, Problem> {
        match self.run(wanted) {
            "" => self.fail(expected),
            run => Ok(run),
        }
    }

    pub(super) fn atom(&mut self, expected: &'static str) -> Result<&'a str, Problem> {
        self.run1(expected, is_atom_char)
    }

    /// Letters, digits, dots: the name of a FETCH item or a part of a section.
    pub(super) fn dotted_word(&mut self, expected: &'static str) -> Result<&'a str, Problem> {
        self.run1(expected, |b| b.is_ascii_alphanumeric() || b == b'.')
    }

    pub(super) fn letters(&mut self, expected: &'static str) -> Result<&'a str, Problem> {
        self.run1(expected, |b| b.is_ascii_alphabetic())
    }

    pub(super) fn base64(&mut self, expected: &'static str) -> Result<&'a str, Problem> {
        self.run1(expected, |b| {
            b.is_ascii_alphanumeric() || b"+/=".contains(&b)
        })
    }

    /// A tag: ASTRING-CHAR without `+` (RFC 3501 §9).
    pub(super) fn tag(&mut self) -> &'a str {
        self.run(|b| is_astring_char(b) && b != b'+')
    }

    /// `\Word`, with its backslash.
    pub(super) fn backslash_word(&mut self, expected: &'static str) -> Result<&'a str, Problem> {
        let start = self.at;
        self.expect(b'\\', expected)?;
        let word = self.atom(expected)?;
        let whole = self.bytes.get(start..start + 1 + word.len());
        Ok(whole
            .and_then(|w| std::str::from_utf8(w).ok())
            .expect("a backslash and an atom are ASCII"))
    }

    pub(super) fn number64(&mut self, expected: &'static str) -> Result<u64, Problem> {
        let digits = self.run1(expected, |b| b.is_ascii_digit())?;
        digits
            .parse()
            .map_err(|_| Problem::Value("a number is too large"))
    }

    pub(super) fn number(&mut self, expected: &'static str) -> Result<u32, Problem> {
        u32::try_from(self.number64(expected)?).map_err(|_| Problem::Value("a number is too large"))
    }

    /// RFC 7162 §7: mod-sequence-valzer, 0 to 2^63-1.
    pub(super) fn mod_seq(&mut self) -> Result<u64, Problem> {
        let value = self.number64("a mod-sequence")?;
        if i64::try_from(value).is_err() {
            return Err(Problem::Value("a mod-sequence is below 2^63"));
        }
        Ok(value)
    }

    /// A quoted string or a literal. Beyond the grammar of RFC 3501, bytes of
    /// 128 and more may stand in a quoted string (RFC 9051 §4.3).
    pub(super) fn string(&mut self, expected: &'static str) -> Result<Cow<'a, [u8]>, Problem> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => self.fail(expected),
        }
    }

    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Problem> {
        self.at += 1;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut escaped: Option<Vec<u8>> = None;
        let mut index = 0;
        loop {
            match rest.get(index).copied() {
                Some(b'"') => {
                    self.at += index + 1;
                    let plain = rest.get(..index).unwrap_or_default();
                    return Ok(escaped.map_or(Cow::Borrowed(plain), Cow::Owned));
                }
                Some(b'\\') => {
                    let out =
                        escaped.get_or_insert_with(|| rest.get(..index).unwrap_or_default().into());
                    match rest.get(index + 1).copied() {
                        Some(byte @ (b'"' | b'\\')) => out.push(byte),
                        _ => {
                            self.at += index + 1;
                            return self.fail("a quote or a backslash after a backslash");
                        }
                    }
                    index += 2;
                }
                Some(b'\r' | b'\n' | 0) | None => {
                    self.at += index;
                    return self.fail("a closing quote");
                }
                Some(byte) => {
                    if let Some(out) = &mut escaped {
                        out.push(byte);
                    }
                    index += 1;
                }
            }
        }
    }

    fn literal(&mut self) -> Result<&'a [u8], Problem> {
        self.at += 1;
        let length = usize::try_from(self.number64("the length of a literal")?)
            .map_err(|_| Problem::Value("a number is too large"))?;
        self.eat(b'+');
        self.expect(b'}', "a closing brace")?;
        self.expect(b'\r', "a line end after the length of a literal")?;
        self.expect(b'\n', "a line end after the length of a literal")?;
        let end = self.at.checked_add(length);
        let Some(bytes) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return self.fail("the bytes of a literal");
        };
        // RFC 3501 §9: CHAR8 leaves out NUL.
        if bytes.contains(&0) {
            return Err(Problem::ForbiddenByte);
        }
        self.at += length;
        Ok(bytes)
    }

    pub(super) fn astring(&mut self, expected: &'static str) -> Result<Cow<'a, [u8]>, Problem> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(expected),
            _ => self
                .run1(expected, is_astring_char)
                .map(|run| Cow::Borrowed(run.as_bytes())),
        }
    }

    pub(super) fn utf8_astring(&mut self, expected: &'static str) -> Result<String, Problem> {
        let bytes = self.astring(expected)?;
        String::from_utf8(bytes.into_owned())
            .map_err(|_| Problem::Value("a string is not valid UTF-8"))
    }

    /// A string or NIL.
    pub(super) fn nstring(
        &mut self,
        expected: &'static str,
    ) -> Result<Option<Cow<'a, [u8]>>, Problem> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string(expected).map(Some);
        }
        self.nil(expected).map(|()| None)
    }

    pub(super) fn nil(&mut self, expected: &'static str) -> Result<(), Problem> {
        let start = self.at;
        if self.letters(expected)?.eq_ignore_ascii_case("NIL") {
            return Ok(());
        }
        self.at = start;
        self.fail(expected)
    }

    /// A mailbox name, decoded. INBOX in any case becomes `INBOX` (RFC 3501 §5.1).
    pub(super) fn mailbox(&mut self) -> Result<String, Problem> {
        let name = self.astring("a mailbox name")?;
        if name.eq_ignore_ascii_case(b"INBOX") {
            return Ok("INBOX".to_owned());
        }
        Ok(mutf7::decode(&name)?)
    }

    pub(super) fn space_mailbox(&mut self) -> Result<String, Problem> {
        self.space()?;
        self.mailbox()
    }

    /// A list-mailbox: an astring that may hold `%` and `*` (RFC 3501 §9).
    pub(super) fn list_mailbox(&mut self) -> Result<String, Problem> {
        let pattern = match self.peek() {
            Some(b'"' | b'{') => self.string("a mailbox pattern")?,
            _ => {
                let wanted = |b| is_astring_char(b) || b == b'%' || b == b'*';
                Cow::Borrowed(self.run1("a mailbox pattern", wanted)?.as_bytes())
            }
        };
        Ok(mutf7::decode(&pattern)?)
    }

    /// The `(` of a list with at least one member.
    pub(super) fn open_list(&mut self, expected: &'static str) -> Result<(), Problem> {
        self.expect(b'(', expected)
    }

    /// The `(` of a list; false if it is empty, which is then passed over.
    pub(super) fn open_maybe_empty_list(
        &mut self,
        expected: &'static str,
    ) -> Result<bool, Problem> {
        self.expect(b'(', expected)?;
        Ok(!self.eat(b')'))
    }

    /// After a member of a list: true at a space (another member follows),
    /// false at the `)`.
    pub(super) fn list_goes_on(&mut self) -> Result<bool, Problem> {
        if self.eat(b')') {
            return Ok(false);
        }
        self.expect(b' ', "a space or a closing parenthesis")?;
        Ok(true)
    }
}
