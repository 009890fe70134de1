//! What the mailing lists of a transaction make of its message: which of them refuse
//! it, and what their copies carry. Who the members are was found at RCPT.

use postrider_meta::query::{List, Membership};
use postrider_proto::smtp::Reply;
use postrider_types::Address;

use crate::UnsubscribeLinks;
use crate::envelope::{Queued, Target};
use crate::header::Header;

/// The lists of a transaction, and what each says to its message.
pub(super) struct Lists<'a> {
    lists: &'a [List],
    refusals: Vec<Option<Reply>>,
    links: Option<&'a UnsubscribeLinks>,
}

impl<'a> Lists<'a> {
    /// The lists of an envelope, and the header of its message.
    pub(super) fn new(
        lists: &'a [List],
        header: &Header,
        links: Option<&'a UnsubscribeLinks>,
    ) -> Self {
        Self {
            lists,
            refusals: lists.iter().map(|list| refusal(list, header)).collect(),
            links,
        }
    }

    /// The lists that refuse the message, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&Address, &Reply)> {
        let both = self.lists.iter().zip(&self.refusals);
        both.filter_map(|(list, reply)| reply.as_ref().map(|reply| (&list.address, reply)))
    }

    /// The first way to an account that no list refuses, or why there is none.
    pub(super) fn target<'t>(&self, target: &'t Target) -> Result<&'t Target, &Reply> {
        self.open(target, &target.also, |target| target.member.as_ref())
    }

    /// The same to an address outside.
    pub(super) fn queued<'q>(&self, queued: &'q Queued) -> Result<&'q Queued, &Reply> {
        self.open(queued, &queued.also, |way| way.outside.member.as_ref())
    }

    fn open<'w, W>(
        &self,
        first: &'w W,
        also: &'w [W],
        member: impl Fn(&W) -> Option<&Membership>,
    ) -> Result<&'w W, &Reply> {
        let Some(refusal) = self.refusal(member(first)) else {
            return Ok(first);
        };
        let mut open = also.iter();
        let open = open.find(|way| self.refusal(member(way)).is_none());
        open.ok_or(refusal)
    }

    /// Why a member does not get the message by its list.
    fn refusal(&self, member: Option<&Membership>) -> Option<&Reply> {
        let refusal = self.refusals.get(member?.list as usize)?;
        refusal.as_ref()
    }

    /// The list that leads to a recipient.
    pub(super) fn list(&self, member: Option<&Membership>) -> Option<&'a List> {
        self.lists.get(member?.list as usize)
    }

    /// The entry of the list that the copy offers to take out: such a copy is for one
    /// member alone.
    pub(super) fn leaves<'m>(&self, member: Option<&'m Membership>) -> Option<&'m Address> {
        self.links?;
        let offered = self.list(member)?.unsubscribe;
        member?.entry.as_ref().filter(|_| offered)
    }

    /// The header fields of a list's copy, with the way out for the entry that it
    /// [leaves](Self::leaves), CRLF at the end.
    pub(super) fn fields(&self, list: &List, leaves: Option<&Address>) -> String {
        let (post, owner) = (mailto(&list.address.to_string()), mailto(&list.owner()));
        let id = id(list);
        // RFC 2919 §3, RFC 2369 §3. What other lists have put there stays: a list may
        // well be a member of another.
        let mut fields = format!(
            "List-Id: <{id}>\r\nList-Post: <{post}>\r\nList-Owner: <{owner}>\r\n\
             List-Help: <{owner}>\r\nPrecedence: list\r\n"
        );
        if let (Some(links), Some(entry)) = (self.links, leaves) {
            let link = links.link(&list.address, entry);
            // RFC 8058 §3.1
            fields += &format!(
                "List-Unsubscribe: <{link}>\r\n\
                 List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
            );
        }
        fields
    }
}

/// A list takes no message with the null sender: notices and bounces would go to
/// all members, and theirs round in a circle (RFC 3834 §2).
pub(super) fn takes_no_notices(asked: &dyn std::fmt::Display) -> Reply {
    let text = format!("<{asked}> is a mailing list or leads to one, which takes no notices");
    Reply::new(550, (5, 7, 1), text)
}

/// Why a list refuses a message; None if it takes it.
fn refusal(list: &List, header: &Header) -> Option<Reply> {
    let address = &list.address;
    if header.came_by_list(&id(list)) {
        let text = format!("the message has come through the list {address} before");
        return Some(Reply::new(554, (5, 4, 6), text));
    }
    // RFC 3834 §2: whoever answers by machine answers a list to no purpose.
    if header.is_automatic_reply() {
        let text = format!("the list {address} takes no automatic replies");
        return Some(Reply::new(550, (5, 7, 1), text));
    }
    None
}

/// RFC 2919 §2: dot-atom-text within a domain of its owner.
fn id(list: &List) -> String {
    format!("{}.{}", list.address.local(), list.address.domain())
}

/// RFC 6068 §2: what may not stand in a URI as it is, or means something there, is
/// encoded. The address is plain ASCII.
fn mailto(address: &str) -> String {
    let mut uri = String::from("mailto:");
    for byte in address.bytes() {
        match byte {
            b'!' | b'$' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'@' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use postrider_proto::smtp::UnsubscribeKey;

    use super::*;

    fn list(unsubscribe: bool) -> List {
        List {
            address: Address::parse("a/b&c@example.test").unwrap(),
            owner: None,
            unsubscribe,
        }
    }

    fn links() -> UnsubscribeLinks {
        UnsubscribeLinks {
            url: "https://mail.example.test".into(),
            key: UnsubscribeKey::new([7; 32]),
        }
    }

    fn header(text: &str) -> Header {
        let mut header = Header::new(None);
        header.push(text.as_bytes(), &mut Vec::new());
        header.finish(&mut Vec::new());
        header
    }

    #[test]
    fn addresses_become_uris() {
        let lists = [list(false)];
        let header = header("Subject: x\r\n\r\n");
        let lists = Lists::new(&lists, &header, None);
        assert_eq!(
            lists.fields(&lists.lists[0], None),
            "List-Id: <a/b&c.example.test>\r\n\
             List-Post: <mailto:a%2Fb%26c@example.test>\r\n\
             List-Owner: <mailto:postmaster@example.test>\r\n\
             List-Help: <mailto:postmaster@example.test>\r\n\
             Precedence: list\r\n"
        );
    }

    #[test]
    fn only_an_entry_of_its_own_has_a_way_out() {
        let links = links();
        let header = header("Subject: x\r\n\r\n");
        let entry = Address::parse("ann+x@example.test").ok();
        let by = |list, entry: &Option<Address>| Membership {
            list,
            entry: entry.clone(),
        };
        let both = [list(true), list(false)];
        let lists = Lists::new(&both, &header, Some(&links));
        let ann = by(0, &entry);
        let leaves = lists.leaves(Some(&ann));
        assert_eq!(leaves, entry.as_ref());
        let fields = lists.fields(&both[0], leaves);
        let field = fields.split("\r\n").nth(5).unwrap();
        let token = field.strip_prefix("List-Unsubscribe: <https://mail.example.test/unsubscribe/");
        let token = token.and_then(|token| token.strip_suffix('>')).unwrap();
        let opened = links.key.open(token).unwrap();
        assert_eq!(opened.list, "a/b&c@example.test");
        assert_eq!(opened.member, "ann+x@example.test");
        assert_eq!(lists.leaves(Some(&by(0, &None))), None);
        assert_eq!(lists.leaves(Some(&by(1, &entry))), None, "switched off");
        assert_eq!(lists.leaves(None), None);
        let without = Lists::new(&both, &header, None);
        assert_eq!(without.leaves(Some(&ann)), None, "no links");
    }

    #[test]
    fn loops_and_replies_are_refused() {
        let both = [
            list(false),
            List {
                address: Address::parse("other@example.test").unwrap(),
                ..list(false)
            },
        ];
        let status = |text: &str, place: usize| {
            let lists = Lists::new(&both, &header(text), None);
            let refusal = lists.refusals[place].clone();
            refusal.map(|reply| (reply.code(), reply.enhanced().unwrap().to_string()))
        };
        let looped = "List-Id: The list\r\n <A/B&C.Example.test>\r\n\r\n";
        assert_eq!(status(looped, 0), Some((554, "5.4.6".into())));
        assert_eq!(status(looped, 1), None);
        let reply = "Auto-Submitted: Auto-Replied (vacation)\r\n\r\n";
        assert_eq!(status(reply, 1), Some((550, "5.7.1".into())));
        for good in ["no", "auto-generated", "auto-notified; x=y"] {
            assert_eq!(status(&format!("Auto-Submitted: {good}\r\n\r\n"), 0), None);
        }
    }
}
