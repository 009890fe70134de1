//! Whether it is worth trying to add a node.

use postrider_kv::{self as kv, Read};
use postrider_types::CommandId;
use serde::{Deserialize, Serialize};

use crate::key;

/// Whether [`crate::command::AddNode`] under this id may succeed: there is such
/// a token, or the command was evaluated already, maybe with the token's last
/// use. Commands leave verdicts behind: this turns strangers away before one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MayJoin {
    /// BLAKE3 of the token's secret.
    pub token: [u8; 32],
    /// The id under which the node is to be added.
    pub id: CommandId,
}

pub(super) async fn answer<R: Read>(read: &R, query: MayJoin) -> kv::Result<bool> {
    let keys = [key::token(&query.token), key::verdict(query.id)];
    let found = read.get_many(&keys).await?;
    Ok(found.iter().any(Option::is_some))
}
