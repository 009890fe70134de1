//! The cluster's version as the metadata hold it. Set and raised by
//! [`crate::command::RaiseVersion`] alone.

use postrider_kv::{self as kv, Read};
use postrider_types::Version;

use crate::api::Refusal;
use crate::{key, row};

/// What everything written must be readable as. Drivers look once per batch, for
/// [`crate::Context::version`].
pub async fn version<R: Read>(read: &R) -> kv::Result<Version> {
    let row: Option<row::ClusterVersion> = row::get(read, &key::version()).await?;
    Ok(Version(row.map_or(0, |row| row.version)))
}

/// Refuses a node whose program does not work in this cluster.
pub(crate) async fn check_node(
    read: &impl Read,
    versions: postrider_types::Versions,
) -> Result<(), crate::stop::Stop> {
    let present = version(read).await?;
    match versions.objection("the node's program", present) {
        None => Ok(()),
        Some(objection) => Err(Refusal::Invalid(objection).into()),
    }
}
