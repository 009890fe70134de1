//! [`Needle`]: a text to look for, without regard to case.

use memchr::memmem::Finder;

/// A text to look for: not empty.
pub(crate) struct Needle {
    // Boxed: it is large, and a key may hold thousands.
    finder: Box<Finder<'static>>,
}

impl Needle {
    /// Looks for `text`.
    pub(crate) fn new(text: &str) -> Self {
        let mut folded = String::with_capacity(text.len());
        fold(text, &mut folded);
        Self {
            finder: Box::new(Finder::new(folded.as_bytes()).into_owned()),
        }
    }

    /// Whether the text is in `text`.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        if text.len() < self.finder.needle().len() && text.is_ascii() {
            return false;
        }
        let mut folded = String::with_capacity(text.len());
        fold(text, &mut folded);
        self.is_in_folded(&folded)
    }

    /// Whether the text is in `text`, which [`fold`] made.
    pub(crate) fn is_in_folded(&self, text: &str) -> bool {
        self.finder.find(text.as_bytes()).is_some()
    }

    /// Its length in bytes, folded.
    pub(crate) fn len(&self) -> usize {
        self.finder.needle().len()
    }
}

/// Appends `text` in the form in which texts are compared: in lower case.
pub(crate) fn fold(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| !b.is_ascii()) {
        let (ascii, tail) = rest.split_at(at);
        fold_ascii(ascii, out);
        let end = tail.bytes().position(|b| b.is_ascii());
        let (other, tail) = tail.split_at(end.unwrap_or(tail.len()));
        out.extend(other.chars().flat_map(char::to_lowercase));
        rest = tail;
    }
    fold_ascii(rest, out);
}

fn fold_ascii(text: &str, out: &mut String) {
    let start = out.len();
    out.push_str(text);
    if let Some(added) = out.get_mut(start..) {
        added.make_ascii_lowercase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter() {
        for (needle, text, want) in [
            ("ÜBER", "an über b", true),
            ("über", "AN ÜBER B", true),
            ("Hello", "say hELLO", true),
            ("hello", "hell o", false),
            ("ж", "Ж", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), want, "{needle} in {text}");
        }
    }
}
