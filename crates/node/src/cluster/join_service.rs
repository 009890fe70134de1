//! The service `Join`: lets a node in that shows a join token.
//!
//! The one service that callers without a certificate reach. Nothing is done or
//! told before the metadata has taken the token.

use std::sync::Arc;

use postrider_meta::{Command, Error, Meta, NewNode, Outcome, command};
use postrider_rpc::proto::join_server::Join;
use postrider_rpc::proto::{JoinReply, JoinRequest, Member};
use postrider_rpc::tonic::{Request, Response, Status};
use postrider_rpc::{Authority, Failure};
use postrider_types::{CommandId, Role};

use super::roster::Roster;
use crate::settings;

/// The longest text in a request, in bytes; the signing request aside.
const MAX_TEXT: usize = 255;

/// Lets nodes in.
pub(crate) struct JoinService {
    pub(crate) meta: Arc<dyn Meta>,
    pub(crate) roster: Roster,
    /// HOST:PORT of this node, which certainly has metadata.
    pub(crate) address: String,
}

#[postrider_rpc::tonic::async_trait]
impl Join for JoinService {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinReply>, Status> {
        let request = request.into_inner();
        let refuse = |text: &str| Status::from(Failure::Failed(text.to_owned()));
        let id: [u8; 16] = request.command[..]
            .try_into()
            .map_err(|_| refuse("the request has no id: are both of the same version?"))?;
        let node = new_node(&request).map_err(|text| refuse(&text))?;
        let names = super::names(&node.name, &node.address);
        let title = format!("{} ({})", node.name, node.address);
        let add = command::AddNode {
            token: *blake3::hash(&request.secret).as_bytes(),
            node,
        };
        let admission = self.add(CommandId::from_bytes(id), add.into()).await?;
        let authority = admission.authority;
        let authority = Authority::from_pem(&authority.certificate, &authority.key);
        let authority = authority.map_err(|error| {
            tracing::error!(%error, "the authority in the metadata cannot be used");
            refuse("the cluster's authority cannot be used; see this node's log")
        })?;
        let certificate = authority.issue(&request.signing_request, admission.node.0, &names);
        let certificate = certificate.map_err(|error| refuse(&error.to_string()))?;
        tracing::info!(node = %admission.node, "{title} joined the cluster");
        self.roster.look();
        Ok(Response::new(JoinReply {
            node: admission.node.0,
            cluster: admission.cluster,
            authority: authority.certificate().to_owned(),
            certificate,
            members: self.members(),
        }))
    }
}

impl JoinService {
    async fn add(&self, id: CommandId, add: Command) -> Result<command::Admission, Status> {
        let executed = self.meta.execute(id, add).await;
        let executed = executed.map_err(|error| match error {
            Error::Unavailable(text) => Failure::Unavailable(text),
            Error::Failed(text) => Failure::Failed(text),
        })?;
        match executed.verdict {
            Ok(Outcome::AddNode(admission)) => Ok(admission),
            Ok(_) => Err(Failure::Failed("the outcome belongs to another command".into()).into()),
            Err(refusal) => {
                tracing::warn!(%refusal, "a node was not let in");
                Err(Failure::Failed(refusal.to_string()).into())
            }
        }
    }

    /// Whom the new node may turn to.
    fn members(&self) -> Vec<Member> {
        let mut addresses = self.roster.voters();
        if !addresses.contains(&self.address) {
            addresses.push(self.address.clone());
        }
        let member = |address| Member {
            address,
            ..Member::default()
        };
        addresses.into_iter().map(member).collect()
    }
}

/// What the request says of the node; what is wrong with it otherwise.
fn new_node(request: &JoinRequest) -> Result<NewNode, String> {
    if settings::host(&request.address).is_none() || request.address.len() > MAX_TEXT {
        return Err("cluster.address is no address: write HOST:PORT".into());
    }
    if !settings::is_name(&request.name) {
        return Err("cluster.name is no name: letters, digits, dots and hyphens".into());
    }
    if request.version.len() > MAX_TEXT || request.roles.len() > Role::ALL.len() {
        return Err("the request is not understood: are both of the same version?".into());
    }
    let roles = request.roles.iter().map(|role| role.parse::<Role>());
    let roles: Result<Vec<Role>, _> = roles.collect();
    Ok(NewNode {
        name: request.name.clone(),
        address: request.address.clone(),
        roles: roles.map_err(|error| error.to_string())?,
        version: request.version.clone(),
    })
}
