//! The way to another node where it is not TCP: for simulations, which carry
//! the bytes themselves. The product does not use it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

/// A connection of any kind.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Transport>>> + Send>>;

/// Connects to addresses (HOST:PORT).
#[derive(Clone)]
pub struct Connector(Arc<dyn Fn(&str) -> Connecting + Send + Sync>);

impl Connector {
    /// A connector that asks `connect`.
    pub fn new(connect: impl Fn(&str) -> Connecting + Send + Sync + 'static) -> Self {
        Self(Arc::new(connect))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Transport>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let address = target.authority().map_or("", |it| it.as_str());
        let connecting = (self.0)(address);
        Box::pin(async move { connecting.await.map(TokioIo::new) })
    }
}
