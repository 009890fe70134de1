//! The server for the other nodes: binds the addresses in `[cluster]`, and
//! serves what this node has to say until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use postrider_rpc::proto::join_server::JoinServer;
use postrider_rpc::proto::nodes_server::NodesServer;
use postrider_rpc::tonic::service::Routes;
use postrider_rpc::{Guard, MAX_JOIN_MESSAGE, Timeouts};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Cluster;
use super::invite::Invitations;
use super::join_service::JoinService;
use super::nodes_service::NodesService;
use crate::counts::Exchange;
use crate::settings;

/// Bound addresses that nobody is served on yet.
pub(crate) struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Server {
    /// Binds.
    pub(crate) async fn bind(settings: &settings::Cluster) -> anyhow::Result<Self> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for address in &settings.listen {
            let listener = TcpListener::bind(address).await.with_context(|| {
                format!(
                    "cannot listen on {address} for other nodes: choose another address in \
                     cluster.listen, or stop what uses it"
                )
            })?;
            addresses.push(listener.local_addr()?);
            listeners.push(listener);
        }
        Ok(Self {
            listeners,
            addresses,
        })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves on `tasks` until `stop`.
    pub(crate) fn spawn(
        self,
        cluster: &Arc<Cluster>,
        exchange: Exchange,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let routes = routes(cluster, exchange);
        let roster = cluster.roster.clone();
        let guard = Guard::new(move |node| roster.standing(node));
        let guard = guard.speaking(cluster.reporter.versions);
        for listener in self.listeners {
            let tls = cluster.tls.clone();
            let (guard, routes) = (guard.clone(), routes.clone());
            let stop = stop.clone();
            tasks.spawn(async move {
                let stopped = stop.cancelled_owned();
                let timeouts = Timeouts::default();
                postrider_rpc::serve(listener, &tls, timeouts, guard, routes, stopped).await;
            });
        }
    }
}

fn routes(cluster: &Arc<Cluster>, exchange: Exchange) -> Routes {
    let nodes = NodesServer::new(NodesService {
        reporter: cluster.reporter.clone(),
        exchange,
    });
    let Some(replica) = cluster.backend.replica() else {
        return Routes::new(nodes);
    };
    let join = JoinServer::new(JoinService {
        meta: replica.clone(),
        roster: cluster.roster.clone(),
        channels: cluster.channels.clone(),
        address: cluster.address.clone(),
        invitations: Invitations {
            secret: cluster.join_secret.clone(),
            meta: cluster.meta.clone(),
        },
    });
    let join = join.max_decoding_message_size(MAX_JOIN_MESSAGE);
    replica.services().add_service(nodes).add_service(join)
}
