//! The service `Nodes`: what any node tells any other.

use bytes::Bytes;
use postrider_rpc::Failure;
use postrider_rpc::proto::nodes_server::Nodes;
use postrider_rpc::proto::{CountsPart, ReportReply, ReportRequest};
use postrider_rpc::tonic::{Request, Response, Status, Streaming};

use super::reporter::Reporter;
use crate::counts::{self, Exchange};

/// Tells how this node is doing, and takes part in the exchange of counts.
pub(crate) struct NodesService {
    pub(crate) reporter: Reporter,
    pub(crate) exchange: Exchange,
}

#[postrider_rpc::tonic::async_trait]
impl Nodes for NodesService {
    async fn report(&self, _: Request<ReportRequest>) -> Result<Response<ReportReply>, Status> {
        let report = self.reporter.report().await;
        let json = serde_json::to_vec(&report);
        let json = json.map_err(|error| Failure::Failed(error.to_string()))?;
        let json = Bytes::from(json);
        Ok(Response::new(ReportReply { json }))
    }

    type CountsStream = counts::Parts;

    async fn counts(
        &self,
        request: Request<Streaming<CountsPart>>,
    ) -> Result<Response<counts::Parts>, Status> {
        self.exchange.accept(request).await
    }
}
