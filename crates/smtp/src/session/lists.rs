//! What the mailing lists of a transaction make of its message: which of them refuse
//! it, and what their copies carry. Who the members are was found at RCPT.

use postrider_meta::query::{List, Membership};
use postrider_proto::smtp::{Reply, UnsubscribeLinks};
use postrider_types::Address;

use super::deliver::Verdict;
use crate::envelope::{Kind, Queued, Target};
use crate::header::Header;

/// The lists of a transaction, and what each says to its message.
pub(super) struct Lists<'a> {
    lists: &'a [List],
    verdicts: Vec<Verdict>,
    links: Option<&'a UnsubscribeLinks>,
}

impl<'a> Lists<'a> {
    /// The lists of an envelope, and the header of its message, which comes from
    /// `inside` or from a stranger.
    pub(super) fn new(
        lists: &'a [List],
        header: &Header,
        links: Option<&'a UnsubscribeLinks>,
        inside: bool,
    ) -> Self {
        Self {
            lists,
            verdicts: lists
                .iter()
                .map(|list| verdict(list, header, inside))
                .collect(),
            links,
        }
    }

    /// The lists that refuse the message, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&Address, &Reply)> {
        let both = self.lists.iter().zip(&self.verdicts);
        both.filter_map(|(list, verdict)| Some((&list.address, verdict.as_ref().err()?)))
    }

    /// The refusal of a recipient that is a list itself.
    pub(super) fn verdict(&self, kind: Kind) -> Option<&Verdict> {
        let Kind::List(place) = kind else {
            return None;
        };
        self.verdicts
            .get(place as usize)
            .filter(|verdict| verdict.is_err())
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
        let verdict = self.verdicts.get(member?.list as usize)?;
        verdict.as_ref().err()
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
        // RFC 2919 §3, RFC 2369 §3. Those of other lists are taken out.
        let mut fields = format!(
            "List-Id: <{id}>\r\nList-Post: <{post}>\r\nList-Owner: <{owner}>\r\n\
             List-Help: <{owner}>\r\nPrecedence: list\r\nDelivered-To: {}\r\n",
            list.address
        );
        // Each outer list is to know its message again when it comes back, also where
        // others have put their own List-Id in the place of ours.
        let mut outer = list.within;
        while let Some(list) = outer.and_then(|place| self.lists.get(place as usize)) {
            fields += &format!("Delivered-To: {}\r\n", list.address);
            outer = list.within;
        }
        if let (Some(links), Some(entry)) = (self.links, leaves) {
            fields += &links.fields(&list.address.to_string(), &entry.to_string());
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

/// What a list says to a message.
fn verdict(list: &List, header: &Header, inside: bool) -> Verdict {
    let address = &list.address;
    // Its own copies, and those of lists within it, name it as passed through; copies that
    // others sent on may have its id alone.
    if header.came_by_list(&id(list)) || header.was_delivered_to(&address.to_string()) {
        let text = format!("the message has come through the list {address} before");
        return Err(Reply::new(554, (5, 4, 6), text));
    }
    // RFC 3834 §2: whoever answers by machine answers a list to no purpose.
    if header.is_automatic_reply() {
        let text = format!("the list {address} takes no automatic replies");
        return Err(Reply::new(550, (5, 7, 1), text));
    }
    // The list's copies leave by its own sender and signature, which would make of a
    // forged author of its domain a true one (RFC 7489 §3.1).
    if !inside && header.is_from(address.domain()) {
        let text = format!(
            "the list {address} takes what authors of {} write from those who have logged in",
            address.domain()
        );
        return Err(Reply::new(550, (5, 7, 1), text));
    }
    Ok(())
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
            within: None,
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
        let lists = Lists::new(&lists, &header, None, true);
        assert_eq!(
            lists.fields(&lists.lists[0], None),
            "List-Id: <a/b&c.example.test>\r\n\
             List-Post: <mailto:a%2Fb%26c@example.test>\r\n\
             List-Owner: <mailto:postmaster@example.test>\r\n\
             List-Help: <mailto:postmaster@example.test>\r\n\
             Precedence: list\r\n\
             Delivered-To: a/b&c@example.test\r\n"
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
        let lists = Lists::new(&both, &header, Some(&links), true);
        let ann = by(0, &entry);
        let leaves = lists.leaves(Some(&ann));
        assert_eq!(leaves, entry.as_ref());
        let fields = lists.fields(&both[0], leaves);
        let field = fields.split("\r\n").nth(6).unwrap();
        let token = field.strip_prefix("List-Unsubscribe: <https://mail.example.test/unsubscribe/");
        let token = token.and_then(|token| token.strip_suffix('>')).unwrap();
        let opened = links.key.open(token).unwrap();
        assert_eq!(opened.list, "a/b&c@example.test");
        assert_eq!(opened.member, "ann+x@example.test");
        assert_eq!(lists.leaves(Some(&by(0, &None))), None);
        assert_eq!(lists.leaves(Some(&by(1, &entry))), None, "switched off");
        assert_eq!(lists.leaves(None), None);
        let without = Lists::new(&both, &header, None, true);
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
        let said = |text: &str, place: usize, inside: bool| {
            let lists = Lists::new(&both, &header(text), None, inside);
            let refusal = lists.verdicts[place].clone().err();
            refusal.map(|reply| (reply.code(), reply.enhanced().unwrap().to_string()))
        };
        let status = |text: &str, place| said(text, place, true);
        let looped = "List-Id: The list\r\n <A/B&C.Example.test>\r\n\r\n";
        assert_eq!(status(looped, 0), Some((554, "5.4.6".into())));
        assert_eq!(status(looped, 1), None);
        let within = "Delivered-To: Other@example.test\r\n\r\n";
        assert_eq!(status(within, 1), Some((554, "5.4.6".into())));
        for from in [
            "Boss <ceo@example.test>",
            "ceo@sub.Example.test",
            "a@x.example,\r\n ceo@ex(@x.example)ample.test",
            "\"(\" <ceo@example.test>",
            "\"a\\\"(\" <ceo@ex(x)ample.test>",
        ] {
            let text = format!("From: {from}\r\n\r\n");
            assert_eq!(said(&text, 0, false), Some((550, "5.7.1".into())), "{from}");
            assert_eq!(said(&text, 0, true), None);
        }
        let padded = format!("From: {} <ceo@example.test>\r\n\r\n", "x".repeat(20_000));
        let many = format!(
            "From: {}\r\nFrom: ceo@example.test\r\n\r\n",
            "a@b.c,".repeat(1500)
        );
        for text in [padded, many] {
            assert_eq!(said(&text, 0, false), Some((550, "5.7.1".into())));
        }
        let mut odd = Header::new(None);
        let raw = b"From: \xff\xfe <ceo@example.test>\r\n\r\n";
        odd.push(raw, &mut Vec::new());
        assert!(odd.is_from(both[0].address.domain()));
        assert_eq!(said("From: ann@notexample.test\r\n\r\n", 0, false), None);
        let reply = "Auto-Submitted: Auto-Replied (vacation)\r\n\r\n";
        assert_eq!(status(reply, 1), Some((550, "5.7.1".into())));
        for good in ["no", "auto-generated", "auto-notified; x=y"] {
            assert_eq!(status(&format!("Auto-Submitted: {good}\r\n\r\n"), 0), None);
        }
    }
}
