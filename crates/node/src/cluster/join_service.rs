//! The service `Join`: lets a node in that shows a join token.
//!
//! The one service that callers without a certificate reach. Nothing is done or
//! told before the metadata has taken the token, and nobody without one leaves
//! anything behind.

use std::sync::Arc;

use postrider_meta::{
    Ask as _, Command, Error, Meta, NewNode, Outcome, ReadAt, Token, command, query,
};
use postrider_rpc::proto::join_server::Join;
use postrider_rpc::proto::{InviteReply, InviteRequest, JoinReply, JoinRequest, Member};
use postrider_rpc::tonic::{Request, Response, Status};
use postrider_rpc::{Authority, Channels, Failure, check_signing_request};
use postrider_types::{CommandId, Role, Version, Versions};

use super::invite::Invitations;
use super::roster::Roster;
use super::status::report_at;
use crate::settings;

/// The longest text in a request, in bytes; the signing request aside.
const MAX_TEXT: usize = 255;

/// Lets nodes in.
pub(crate) struct JoinService {
    pub(crate) meta: Arc<dyn Meta>,
    pub(crate) roster: Roster,
    pub(crate) channels: Channels,
    /// HOST:PORT of this node, which certainly has metadata.
    pub(crate) address: String,
    pub(crate) invitations: Invitations,
}

#[postrider_rpc::tonic::async_trait]
impl Join for JoinService {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinReply>, Status> {
        let request = request.into_inner();
        let refuse = |text: &str| Status::from(Failure::Failed(text.to_owned()));
        let id = command_id(&request)
            .ok_or_else(|| refuse("the request has no id: are both of the same version?"))?;
        let node = new_node(&request).map_err(|text| refuse(&text))?;
        let token = *blake3::hash(&request.secret).as_bytes();
        self.check_token(token, id).await?;
        check_signing_request(&request.signing_request)
            .map_err(|error| refuse(&error.to_string()))?;
        self.check_address(&node.address).await?;
        let names = super::names(&node.name, &node.address);
        let title = format!("{} ({})", node.name, node.address);
        let add = command::AddNode { token, node };
        let admission = self.add(id, add.into()).await?;
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

    async fn invite(
        &self,
        request: Request<InviteRequest>,
    ) -> Result<Response<InviteReply>, Status> {
        let request = request.into_inner();
        if settings::host(&request.address).is_none() || request.address.len() > MAX_TEXT {
            return Err(Failure::Failed("cluster.address is no address".into()).into());
        }
        let mut members: Vec<String> = self.addresses();
        members.truncate(super::token::MAX_ADDRESSES);
        let reply = self.invitations.invite(&request, members).await?;
        Ok(Response::new(reply))
    }
}

impl JoinService {
    /// Turns strangers away before a command is written down for them. What this
    /// node's replica knows is enough, unless the token is very fresh.
    async fn check_token(&self, token: [u8; 32], id: CommandId) -> Result<(), Status> {
        for at in [ReadAt::AtLeast(Token::default()), ReadAt::Latest] {
            let query = query::MayJoin { token, id };
            let answer = self.meta.query(query.into(), at).await;
            let (answer, _) = answer.map_err(failure)?;
            if query::MayJoin::answer(answer) == Some(true) {
                return Ok(());
            }
        }
        tracing::debug!("a caller without a good token was not let in");
        let text = "the join token is not known, used up or at its end: get another one with \
                    `postrider cluster token` on a node of the cluster";
        Err(Failure::Failed(text.into()).into())
    }

    /// Refuses an address at which a node of the cluster answers.
    async fn check_address(&self, address: &str) -> Result<(), Status> {
        let nodes = self.roster.nodes();
        let twin = nodes.iter().find(|node| {
            node.removed.is_none() && node.replaced_by.is_none() && node.address == address
        });
        let Some(twin) = twin else { return Ok(()) };
        match report_at(&self.channels, address).await {
            Ok(report) if report.node == twin.id.0 => Err(Failure::Failed(format!(
                "{address} is the address of node {}, which is alive: give the new node an \
                 address of its own in [cluster]",
                twin.id
            ))
            .into()),
            // The machine of that node, with a new disk.
            _ => Ok(()),
        }
    }

    async fn add(&self, id: CommandId, add: Command) -> Result<command::Admission, Status> {
        let executed = self.meta.execute(id, add).await;
        match executed.map_err(failure)?.verdict {
            Ok(Outcome::AddNode(admission)) => Ok(admission),
            Ok(_) => Err(Failure::Failed("the outcome belongs to another command".into()).into()),
            Err(refusal) => {
                tracing::warn!(%refusal, "a node was not let in");
                Err(Failure::Failed(refusal.to_string()).into())
            }
        }
    }

    /// Where nodes with metadata are, this one among them.
    fn addresses(&self) -> Vec<String> {
        let mut addresses = self.roster.voters();
        addresses.retain(|address| *address != self.address);
        // It is certainly there.
        addresses.insert(0, self.address.clone());
        addresses
    }

    /// Whom the new node may turn to.
    fn members(&self) -> Vec<Member> {
        let addresses = self.addresses();
        let member = |address| Member {
            address,
            ..Member::default()
        };
        addresses.into_iter().map(member).collect()
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Unavailable(text) => Failure::Unavailable(text),
        Error::Full(text) => Failure::Full(text),
        Error::Failed(text) => Failure::Failed(text),
    }
}

/// The id under which the node is added: of the moment that the request names,
/// else made from the token's secret and the key that is to be signed. So only
/// who knows the secret can repeat it, and only for that key.
fn command_id(request: &JoinRequest) -> Option<CommandId> {
    let told: [u8; 16] = request.command[..].try_into().ok()?;
    let mut hasher = blake3::Hasher::new_derive_key("postrider 2026 join command id");
    hasher.update(&told);
    hasher.update(blake3::hash(&request.secret).as_bytes());
    hasher.update(request.signing_request.as_bytes());
    let mut id = told;
    id[6..].copy_from_slice(&hasher.finalize().as_bytes()[..10]);
    Some(CommandId::from_bytes(id))
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
        versions: Versions {
            oldest: Version(request.oldest),
            newest: Version(request.newest),
        },
    })
}
