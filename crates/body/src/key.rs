//! The keys of objects: `body/<2 hex>/<id>` and `pack/<2 hex>/<id>`.
//!
//! The id is made before the upload begins and sorts by time, so that a key tells
//! when its object was begun. The two
//! digits before it are its last two, random ones: they spread the load in a
//! bucket and the files in a folder. All keys of a kind have one length: none is a
//! prefix of another.

use postrider_types::BodyId;

/// Objects of one large body each.
pub(crate) const SINGLES: &str = "body";

/// Objects of many small bodies each.
pub(crate) const PACKS: &str = "pack";

/// The key of the object `id` of a kind.
pub(crate) fn key(kind: &str, id: BodyId) -> String {
    let spread = id.as_bytes()[15];
    format!("{kind}/{spread:02x}/{id}")
}

/// The id in a key; None if this module did not make the key.
pub(crate) fn id(key: &str) -> Option<BodyId> {
    let (rest, hex) = key.rsplit_once('/')?;
    let (kind, _) = rest.split_once('/')?;
    let id = BodyId::from_bytes(u128::from_str_radix(hex, 16).ok()?.to_be_bytes());
    (self::key(kind, id) == key).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_id_and_strangers_do_not() {
        let made = BodyId::from_bytes(*b"\x01\x8f0123456789abc\xfe");
        let name = key(PACKS, made);
        assert_eq!(
            name,
            "pack/fe/018f303132333435363738396162".to_owned() + "63fe"
        );
        assert_eq!(id(&name), Some(made));
        for strange in [
            "",
            "pack",
            "pack/fe/",
            "pack/ff/018f30313233343536373839616263fe",
            "pack/fe/018F30313233343536373839616263FE",
            "pack/fe/+18f30313233343536373839616263fe",
        ] {
            assert_eq!(id(strange), None, "{strange}");
        }
    }
}
